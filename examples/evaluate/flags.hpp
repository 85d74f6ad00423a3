#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line of promptdistill-evaluate: the task, the settings, and where results go.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "examples/common/methods.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/planted_prompt.hpp"
#include "examples/common/program.hpp"
#include "examples/evaluate/file_tasks.hpp"
#include "examples/evaluate/needle_tasks.hpp"
#include "examples/evaluate/ruler_tasks.hpp"
#include "examples/evaluate/sweep.hpp"

namespace promptdistill::examples {

/// "I/N": {I, N} with 1 <= I <= N.
inline std::optional<std::pair<std::size_t, std::size_t>> parse_part(std::string_view text) {
  std::size_t first = 0, of = 0;
  const char* const end = text.data() + text.size();
  const auto [slash, bad] = std::from_chars(text.data(), end, first);
  if (bad != std::errc() || slash == end || *slash != '/') return {};
  const auto [rest, wrong] = std::from_chars(slash + 1, end, of);
  if (wrong != std::errc() || rest != end || first < 1 || first > of) return {};
  return std::pair{first, of};
}

struct EvaluateFlags {
  std::filesystem::path model_dir, out, data;
  std::string task, part;
  std::string needle =
      "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny "
      "day.";
  std::string question = "What is the best thing to do in San Francisco?";
  std::string answer = "eat a sandwich and sit in Dolores Park on a sunny day";
  NeedleGrid grid;
  std::optional<std::int64_t> limit, max_new_tokens;
  std::vector<std::string> axes, against;
  std::optional<std::int64_t> heads_within;
  std::int64_t heads_window = 16;
  bool alone = false;
  MethodFlags methods;
  ModelFlags model;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir, "a Hugging Face folder with a chat template")
        ->required()
        ->option_text("MODEL_DIR");
    const char* group = "Task";
    app.add_option("--task", task,
                   "niah, passkey, facts, ruler:single|multikey|multivalue|multiquery|vt|cwe|fwe, "
                   "longbench:NAME or infbench:NAME")
        ->required()
        ->group(group);
    app.add_option("--data", data,
                   "longbench: the folder with NAME.jsonl, dataset2prompt.json and "
                   "dataset2maxlen.json; infbench: that with tasks.json and the files it names; "
                   "else a folder of texts to hide things in (default: the licences that every "
                   "Debian machine has)")
        ->check(CLI::ExistingDirectory)
        ->group(group);
    app.add_option("--lengths", grid.lengths, "prompt lengths in tokens")
        ->delimiter(',')
        ->check(at_least(1))
        ->capture_default_str()
        ->group(group);
    app.add_option("--depths", grid.depths, "depths of a needle, evenly from 0 to 100 %")
        ->check(at_least(1))
        ->capture_default_str()
        ->group(group);
    app.add_option("--repeats", grid.repeats, "prompts of each length and depth")
        ->check(at_least(1))
        ->capture_default_str()
        ->group(group);
    app.add_option("--needle", needle, "of niah: the sentence to hide")->group(group);
    app.add_option("--question", question, "of niah")->group(group);
    app.add_option("--answer", answer, "of niah: what the reply is scored against")->group(group);
    app.add_option("--limit", limit, "only the first so many samples")
        ->check(at_least(1))
        ->group(group);
    app.add_option("--max-new-tokens", max_new_tokens, "longest reply (default: the task's)")
        ->check(at_least(1))
        ->group(group);
    app.add_option("--seed", grid.seed, "of what is made up")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str()
        ->group(group);
    methods.add_to(app);
    app.add_option("--sweep", axes,
                   "settings to vary, as layer=8:26:2 budget=64,128,256 window=1,16: every "
                   "combination, over the first --profile or, with caches cut, the paper's scorer")
        ->group("Methods (full attention is always one)");
    app.add_option("--against", against,
                   "also compare every method with this one, which is run as well: the difference "
                   "of their scores on the same prompts, as with full attention; repeatable")
        ->group("Methods (full attention is always one)");
    app.add_option("--heads-within", heads_within,
                   "also: how much of the needle every head of every layer has among its so many "
                   "best tokens, by the attention of the last --heads-window tokens")
        ->check(at_least(1))
        ->group("Methods (full attention is always one)");
    app.add_option("--heads-window", heads_window,
                   "last tokens whose attention --heads-within ranks by")
        ->check(at_least(1))
        ->capture_default_str()
        ->group("Methods (full attention is always one)");
    app.add_option("--part", part,
                   "only every Nth sample from the Ith on, for N machines or processes at once, "
                   "each with its own --out; then put their results.jsonl together and run the "
                   "whole over that")
        ->option_text("I/N")
        ->check(CLI::Validator(
            [](const std::string& text) {
              return parse_part(text) ? "" : "must be I/N with 1 <= I <= N, as 1/2";
            },
            ""))
        ->group("Running");
    app.add_flag("--alone", alone,
                 "run every setting from the prompt's start, even where the layers before a stage "
                 "could be shared")
        ->group("Running");
    model.add_to(app);
    app.add_option("--out", out,
                   "a folder for results. It keeps every reply as it comes: the same command goes "
                   "on where it was stopped")
        ->required()
        ->group("Output");
  }

  bool of_files() const { return task.starts_with("longbench:") || task.starts_with("infbench:"); }

  /// Full attention first, each setting once.
  std::vector<Method> resolve_methods() const {
    std::vector<Method> all{{"full attention", {}}};
    const auto add = [&](Method method) {
      const std::string text = to_string(method.options);
      if (std::none_of(all.begin(), all.end(),
                       [&](const Method& other) { return to_string(other.options) == text; }))
        all.push_back(std::move(method));
    };
    // A sweep alone is over the paper's scorer, whatever lies beside the checkpoint.
    const bool named = !methods.stages.empty() || !methods.methods.empty(),
               profiled =
                   !(methods.empty() && !axes.empty()) && !methods.profiles_for(model_dir).empty();
    if (named || profiled)
      for (Method& method : methods.resolve(model_dir)) add(std::move(method));
    if (!axes.empty()) {
      MethodOptions base;
      base.kind = MethodKind::kPromptDistill;
      base.distill.truncated_stages = kTruncateAll;
      if (!methods.profiles.empty() && methods.profiles.front() != "none")
        base.distill = load_profile(methods.profiles.front(), model_dir).options;
      std::vector<SweepAxis> parsed;
      for (const std::string& axis : axes) parsed.push_back(parse_axis(axis));
      const ModelConfig config = ModelConfig::load(model_dir);
      for (Method& method : sweep(base, parsed)) {
        reading_flags([&] {
          promptdistill::check(method.options, config.num_hidden_layers,
                               config.num_attention_heads);
        });
        add(std::move(method));
      }
    }
    reading_flags([&] {
      for (const std::string& text : against) add({text, parse_method(text)});
    });
    return all;
  }

  /// --against as methods name themselves.
  std::vector<std::string> others() const {
    std::vector<std::string> names;
    for (const std::string& text : against) names.push_back(to_string(parse_method(text)));
    return names;
  }

  /// Throws UsageError where a length has no room for what is planted and asked, or with the reply
  /// exceeds the context, or is more than there is text for.
  void check_lengths(const Task& made, const ModelConfig& config) const {
    for (std::size_t l = 0; l < grid.lengths.size(); ++l) {
      try {
        const Sample sample = made.make(l * static_cast<std::size_t>(grid.depths));
        if (grid.lengths[l] + sample.max_new_tokens > config.context())
          throw std::runtime_error(
              fmt::format("a prompt of {} tokens and a reply of {} exceed the context of {}",
                          grid.lengths[l], sample.max_new_tokens, config.context()));
      } catch (const std::runtime_error& error) {
        throw UsageError(std::string("--lengths: ") + error.what());
      }
    }
  }

  /// Throws UsageError on a task that is none, and what its files throw.
  Task make_task(std::shared_ptr<const Tokenizer> tokenizer,
                 const ChatFormat& format,
                 const ModelConfig& config) const {
    Task made = [&] {
      if (of_files()) {
        if (data.empty()) throw UsageError("--task " + task + " needs --data");
        const FileTaskSettings settings{data, tokenizer, config.context(), max_new_tokens};
        const std::string name = task.substr(task.find(':') + 1);
        return task.starts_with("longbench:") ? longbench_task(name, settings)
                                              : infbench_task(name, settings);
      }
      const auto planter_of = [=](const std::string& text) {
        return std::make_shared<const PromptPlanter>(*tokenizer, format,
                                                     tokenizer->encode(text, false));
      };
      const bool known =
          task == "niah" || task == "passkey" || task == "facts" || task.starts_with("ruler:");
      if (!known) throw UsageError("--task " + task + " is none that --help lists");
      const auto planter =
          planter_of(read_plain(files_of(data.empty() ? "/usr/share/common-licenses" : data)));
      NeedleGrid chosen = grid;
      chosen.max_new_tokens = task == "passkey" ? 16 : task.starts_with("ruler:") ? 96 : 48;
      if (max_new_tokens) chosen.max_new_tokens = *max_new_tokens;
      if (task == "niah") return needle_task(planter, chosen, needle, question, answer);
      if (task == "passkey") return pass_key_task(planter, chosen);
      if (task == "facts") return facts_task(planter, chosen);
      return ruler_task(task.substr(6), planter, planter_of, chosen);
    }();
    if (!of_files()) check_lengths(made, config);
    if (limit) made.size = std::min(made.size, static_cast<std::size_t>(*limit));
    if (const auto chosen = parse_part(part)) {
      const auto [first, of] = *chosen;
      if (first > made.size)
        throw UsageError(fmt::format("--part {}: the task has {} samples", part, made.size));
      made.size = (made.size - first) / of + 1;
      made.make = [make = std::move(made.make), first = first, of = of](std::size_t index) {
        return make(first - 1 + index * of);
      };
    }
    return made;
  }
};

}  // namespace promptdistill::examples
