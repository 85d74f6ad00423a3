#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The methods that a comparison runs side by side: full attention, profiles, and the paper's own
// settings.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "examples/common/distill_flags.hpp"
#include "examples/common/program.hpp"
#include "promptdistill/any_distiller.hpp"
#include "promptdistill/model/model_config.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill::examples {

struct Method {
  std::string name;
  DistillOptions options;
  AnyDistiller policy;
};

struct MethodFlags {
  std::vector<std::string> profiles;
  std::vector<std::string> stages;

  void add_to(CLI::App& app) {
    const char* group = "Methods (full attention is always one)";
    app.add_option("--profile", profiles,
                   "settings found for this checkpoint, a JSON file; may be given again")
        ->group(group)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--stages", stages,
                   "the paper's scorer at these stages, e.g. 14:512; may be given again")
        ->group(group)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  /// Full attention first. Throws UsageError where nothing is there to compare it with.
  std::vector<Method> resolve(const std::filesystem::path& model_dir) const {
    if (profiles.empty() && stages.empty())
      throw UsageError("nothing to compare full attention with: give --profile or --stages");
    const ModelConfig config = ModelConfig::load(model_dir);
    std::vector<Method> methods{{"full attention", {}, {}}};
    const auto add = [&](std::string name, const DistillOptions& options) {
      methods.push_back({std::move(name), options, make_distiller(options)});
      methods.back().policy.check(config.num_hidden_layers, config.num_attention_heads);
    };
    for (const std::string& text : stages) {
      DistillOptions options;
      options.stages = parse_stages(text);
      add("paper's scorer, " + to_string(options.stages), options);
    }
    for (const std::string& file : profiles) {
      const Profile profile = load_profile(file, model_dir);
      add(profile.name, profile.options);
    }
    return methods;
  }
};

}  // namespace promptdistill::examples
