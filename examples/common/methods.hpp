#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The methods that a comparison runs side by side: full attention, profiles, the paper's own
// settings, and rivals.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "examples/common/method_flags.hpp"
#include "examples/common/program.hpp"
#include "promptdistill/model/model_config.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill::examples {

struct Method {
  std::string name;
  MethodOptions options;
};

struct MethodFlags {
  std::vector<std::string> profiles, stages, methods;

  void add_to(CLI::App& app) {
    const char* group = "Methods (full attention is always one)";
    app.add_option(
           "--profile", profiles,
           std::string("settings found for this checkpoint, a JSON file; may be given again "
                       "(default: MODEL_DIR/") +
               kProfileName + " where nothing else is given; none ignores it)")
        ->group(group)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--stages", stages,
                   "the paper's scorer at these stages, e.g. 14:512; may be given again")
        ->group(group)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--method", methods, std::string(kMethodHelp) + "; may be given again")
        ->option_text("NAME[:key=value,...]")
        ->group(group)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  bool empty() const { return profiles.empty() && stages.empty() && methods.empty(); }

  /// The profiles asked for, or the one beside the checkpoint where nothing is asked for.
  std::vector<std::string> profiles_for(const std::filesystem::path& model_dir) const {
    std::vector<std::string> files = profiles;
    std::erase(files, "none");
    if (empty() && std::filesystem::exists(model_dir / kProfileName))
      files.push_back((model_dir / kProfileName).string());
    return files;
  }

  /// Full attention first. Throws UsageError where nothing is there to compare it with.
  std::vector<Method> resolve(const std::filesystem::path& model_dir) const {
    const std::vector<std::string> files = profiles_for(model_dir);
    if (files.empty() && stages.empty() && methods.empty())
      throw UsageError(
          "nothing to compare full attention with: give --profile, --stages or --method");
    const ModelConfig config = ModelConfig::load(model_dir);
    std::vector<Method> all{{"full attention", {}}};
    const auto add = [&](std::string name, MethodOptions options) {
      check(options, config.num_hidden_layers, config.num_attention_heads);
      all.push_back({std::move(name), std::move(options)});
    };
    const auto distilling = [](DistillOptions options) {
      MethodOptions method;
      method.kind = MethodKind::kPromptDistill;
      method.distill = std::move(options);
      return method;
    };
    for (const std::string& text : stages) {
      DistillOptions options;
      options.stages = parse_stages(text);
      add("paper's scorer, " + to_string(options.stages), distilling(options));
    }
    for (const std::string& file : files) {
      const Profile profile = load_profile(file, model_dir);
      add(profile.name, distilling(profile.options));
    }
    for (const std::string& text : methods) {
      const MethodOptions method = read_method(text);
      if (method.kind != MethodKind::kFull) add(to_string(method), method);
    }
    return all;
  }
};

}  // namespace promptdistill::examples
