#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line of promptdistill-bench.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "examples/bench/bench_method.hpp"
#include "examples/bench/bench_model.hpp"
#include "examples/bench/measure.hpp"
#include "examples/bench/measure_batch.hpp"
#include "examples/bench/measure_document.hpp"
#include "examples/common/machine.hpp"
#include "examples/common/method_flags.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"

namespace promptdistill::examples {

struct BenchFlags {
  BenchModelFlags model;
  std::string suite = "all";
  std::vector<std::int64_t> lengths{1024, 2048, 4096, 7700};
  std::vector<std::string> methods;
  std::optional<std::string> profile;
  std::int64_t reps = 5;
  std::int64_t new_tokens = 64, batch = 8;
  std::optional<std::int64_t> prefill_chunk;
  std::optional<std::string> report, json_file;
  std::optional<std::string> alone;  // a method to take the memory of: what a child process does

  void add_to(CLI::App& app) {
    model.add_to(app);
    const char* group = "What is measured";
    app.add_option("--suite", suite,
                   "prefill, decode, memory, retention (shares kept, stage layers, numbers of "
                   "stages; at the longest length), all of these, or batch (prompts of different "
                   "lengths packed, against one after another), document (a question a "
                   "repetition about a document that was read once)")
        ->check(
            CLI::IsMember({"prefill", "decode", "memory", "retention", "all", "batch", "document"}))
        ->capture_default_str()
        ->group(group);
    app.add_option("--lengths", lengths, "prompt lengths in tokens")
        ->delimiter(',')
        ->check(at_least(1))
        ->capture_default_str()
        ->group(group);
    app.add_option("--method", methods,
                   std::string(kMethodHelp) +
                       "; may be given again (default: all at equal budgets). Full attention is "
                       "always one")
        ->group(group)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--profile", profile,
                   std::string("settings found for this checkpoint, beside the others (default: "
                               "MODEL_DIR/") +
                       kProfileName + " where it exists; none ignores it)")
        ->group(group);
    app.add_option("--reps", reps, "repetitions; methods alternate within each")
        ->check(CLI::Range(1, 100000))
        ->capture_default_str()
        ->group(group);
    app.add_option("--new-tokens", new_tokens, "tokens to decode, the first one included")
        ->check(CLI::Range(2, 1000000))
        ->capture_default_str()
        ->group(group);
    app.add_option("--batch", batch,
                   "prompts of the batch suite, their lengths evenly up to each of --lengths")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str()
        ->group(group);
    add_prefill_chunk(app, prefill_chunk);
    const char* output = "Output";
    app.add_option("--report", report,
                   "a folder for tables and plots. It keeps every result as it comes: the same "
                   "command goes on where it was stopped")
        ->group(output);
    app.add_option("--json", json_file, "write all of it as JSON; - is standard output")
        ->group(output);
    app.add_option("--measure-alone", alone, "")->group("");
  }

  bool has(const std::string& name) const {
    return suite == name || (suite == "all" && name != "batch" && name != "document");
  }

  /// The prefill suite decodes nothing.
  RunSettings run_settings() const {
    return {suite == "prefill" ? 1 : new_tokens, prefill_chunk, {}};
  }

  /// The profile asked for, or the one beside the checkpoint where no method is.
  std::optional<std::filesystem::path> profile_file() const {
    if (profile && model.random) throw UsageError("--profile is for MODEL_DIR, not for --random");
    if (profile)
      return *profile == "none" ? std::nullopt : std::optional(std::filesystem::path(*profile));
    const std::filesystem::path beside = model.model_dir / kProfileName;
    if (model.random || !methods.empty() || !std::filesystem::exists(beside)) return {};
    return beside;
  }

  /// Full attention first. Throws UsageError on a method that cannot be read, and what the library
  /// throws on one that does not fit the model.
  std::vector<BenchMethod> resolve_methods(const ModelConfig& config) const {
    std::vector<BenchMethod> chosen;
    if (methods.empty()) {
      chosen = default_methods(config);
    } else {
      chosen = {detail::full_attention()};
      for (const std::string& text : methods) {
        const BenchMethod method{text, read_method(text)};
        const std::string known_as = method.text();
        if (std::none_of(chosen.begin(), chosen.end(),
                         [&](const BenchMethod& other) { return other.text() == known_as; }))
          chosen.push_back(method);
      }
    }
    if (const auto file = profile_file()) {
      BenchMethod found{"profile", {}};
      found.options.kind = MethodKind::kPromptDistill;
      found.options.distill = load_profile(*file, model.model_dir).options;
      std::erase_if(chosen, [&](const BenchMethod& other) { return other.text() == found.text(); });
      chosen.insert(chosen.begin() + 1, std::move(found));
    }
    if (has("batch") || has("document")) {
      for (const BenchMethod& method : chosen) {
        if (!methods.empty() && !packs(method))
          throw UsageError("--suite " + suite +
                           " is for full attention and promptdistill, got --method " +
                           method.text());
      }
      std::erase_if(chosen, [](const BenchMethod& method) { return !packs(method); });
    }
    for (const BenchMethod& method : chosen)
      promptdistill::check(method.options, config.num_hidden_layers, config.num_attention_heads);
    return chosen;
  }

  /// What results are of: another header's cannot be added to them.
  nlohmann::json header(const CausalLm& lm, const std::vector<BenchMethod>& chosen) const {
    nlohmann::json names = nlohmann::json::array();
    for (const BenchMethod& method : chosen) names.push_back(method.text());
    const auto ids = model.prompt(longest(), lm.config.vocab_size);
    return {{"program", describe_program()},
            {"machine", describe_machine(lm.device())},
            {"model", model.identity()},
            {"settings",
             {{"suite", suite},
              {"lengths", lengths},
              {"methods", names},
              {"repetitions", reps},
              {"new_tokens", run_settings().new_tokens},
              {"batch", has("batch") ? nlohmann::json(batch) : nlohmann::json()},
              {"prefill_chunk", prefill_chunk ? nlohmann::json(*prefill_chunk) : nlohmann::json()},
              {"dtype", dtype_name(lm.dtype())},
              {"threads", at::get_num_threads()},
              {"prompt", short_hash(nlohmann::json(ids).dump())}}}};
  }

  std::int64_t longest() const { return *std::max_element(lengths.begin(), lengths.end()); }

  void check_lengths(const ModelConfig& config) const {
    const std::int64_t asked = has("document") ? kQuestionTokens + 1 : 0,
                       most = config.context() - run_settings().new_tokens + 1 - asked;
    if (longest() > most) {
      throw UsageError(
          fmt::format("--lengths must be at most {} with {} new tokens in the model's context of "
                      "{}, got {}",
                      most, run_settings().new_tokens, config.context(), longest()));
    }
  }

  /// How this program is run to take one method's memory in a process of its own.
  std::vector<std::string> child_arguments(const BenchMethod& method, std::int64_t length) const {
    std::vector<std::string> out{"/proc/self/exe"};
    for (const std::string& argument : model.arguments()) out.push_back(argument);
    const auto add = [&out](const char* flag, const std::string& value) {
      out.insert(out.end(), {flag, value});
    };
    add("--suite", suite);
    add("--lengths", std::to_string(length));
    add("--new-tokens", std::to_string(new_tokens));
    if (prefill_chunk) add("--prefill-chunk", std::to_string(*prefill_chunk));
    add("--measure-alone", method.text());
    return out;
  }
};

}  // namespace promptdistill::examples
