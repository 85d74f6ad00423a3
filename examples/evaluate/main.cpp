// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-evaluate: what a method's replies are worth, on the same prompts as full
// attention's.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/json_lines.hpp"
#include "examples/common/machine.hpp"
#include "examples/common/model_description.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/table.hpp"
#include "examples/common/units.hpp"
#include "examples/common/write_file.hpp"
#include "examples/evaluate/aggregate.hpp"
#include "examples/evaluate/flags.hpp"
#include "examples/evaluate/head_recall.hpp"
#include "examples/evaluate/report.hpp"
#include "examples/evaluate/results.hpp"
#include "examples/evaluate/runner.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;
using nlohmann::json;

constexpr const char* kFooter = R"(Examples:
  promptdistill-evaluate MODEL_DIR --task facts --lengths 4096 --depths 24 --profile P.json --out build/facts
  promptdistill-evaluate MODEL_DIR --task niah --sweep layer=8:26:2 budget=128,512 window=1,16 --out build/sweep
  promptdistill-evaluate MODEL_DIR --task longbench:multi_news --data LONGBENCH --limit 60 --method snapkv:capacity=512 --stages 14:512 --out build/news

Exit codes: 0 done, 1 failure, 2 bad usage, 130 stopped by Ctrl-C; the same command then goes on.)";

/// What results are of: another header's cannot be added to them. Methods may be added, samples may
/// not change.
json header_of(const ex::EvaluateFlags& flags, const ex::Task& task, const pd::CausalLm& lm) {
  json settings{{"task", task.name},
                {"dtype", ex::dtype_name(lm.dtype())},
                {"device", lm.device().str()},
                {"seed", flags.grid.seed},
                {"new_tokens", flags.max_new_tokens ? json(*flags.max_new_tokens) : json()}};
  if (!flags.of_files()) {
    settings["lengths"] = flags.grid.lengths;
    settings["depths"] = flags.grid.depths;
    if (flags.task == "niah") settings["answer"] = flags.answer;
  }
  return {
      {"model",
       {{"folder", flags.model_dir.string()}, {"fingerprint", pd::fingerprint(flags.model_dir)}}},
      {"settings", settings},
      {"version", pd::kVersion}};
}

json to_json(const ex::Interval& interval) {
  return {{"mean", interval.mean}, {"interval_95", {interval.low, interval.high}}};
}

json to_json(const ex::MethodResult& result, const std::vector<std::string>& others) {
  json out{{"method", result.method},
           {"samples", result.samples},
           {"score", to_json(result.score)},
           {"kept_share", result.kept},
           {"cache_bytes", result.cache_bytes}};
  out["against_full"] = result.against_full ? to_json(*result.against_full) : json();
  out["needle_recall"] = result.recall ? json(*result.recall) : json();
  if (result.warning.lost + result.warning.right > 0) {
    const auto auc = [](const std::optional<double>& value) {
      return value ? json(*value) : json();
    };
    out["warning"] = {{"lost", result.warning.lost},
                      {"right", result.warning.right},
                      {"auc",
                       {{"mass", auc(result.warning.mass)},
                        {"entropy", auc(result.warning.entropy)},
                        {"cut", auc(result.warning.cut)}}}};
  }
  out["prefill_speed_up"] = result.speed_up ? json(*result.speed_up) : json();
  for (std::size_t i = 0; i < result.against.size(); ++i)
    out["against"][others[i]] = result.against[i] ? to_json(*result.against[i]) : json();
  return out;
}

std::vector<std::vector<std::string>> rows_of(const std::vector<ex::MethodResult>& results) {
  using ex::detail::percent;
  using ex::detail::with_interval;
  std::vector<std::vector<std::string>> rows{{"method", "samples", "score (95 %)",
                                              "less full (95 %)", "needle kept", "tokens kept",
                                              "prefill", "cache"}};
  for (const ex::MethodResult& result : results) {
    rows.push_back({result.method, std::to_string(result.samples), with_interval(result.score),
                    result.against_full ? with_interval(*result.against_full) : "-",
                    result.recall ? percent(*result.recall) + " %" : "-",
                    percent(result.kept) + " %",
                    result.speed_up ? fmt::format("{:.2f}x", *result.speed_up) : "-",
                    ex::bytes_text(static_cast<std::int64_t>(result.cache_bytes))});
  }
  return rows;
}

/// Each method's score less that of every one of `others` on the same prompts.
std::vector<std::vector<std::string>> pair_rows(const std::vector<ex::MethodResult>& results,
                                                const std::vector<std::string>& others) {
  std::vector<std::vector<std::string>> rows{{"method"}};
  for (const std::string& other : others) rows[0].push_back("less " + other + " (95 %)");
  for (const ex::MethodResult& result : results) {
    rows.push_back({result.method});
    for (const std::optional<ex::Interval>& less : result.against)
      rows.back().push_back(less ? ex::detail::with_interval(*less) : "-");
  }
  return rows;
}

void write_report(const ex::EvaluateFlags& flags,
                  const ex::Task& task,
                  const std::string& setting,
                  const std::vector<std::vector<std::string>>& pairs,
                  const std::vector<ex::ReplyRecord>& records,
                  const std::vector<ex::HeadRecord>& heads,
                  const std::vector<ex::MethodResult>& results) {
  std::string problem;
  std::vector<std::filesystem::path> pictures;
  for (const std::string& name : ex::write_plots(ex::evaluation_plots(results), flags.out, problem))
    pictures.push_back(flags.out / name);
  if (!problem.empty()) fmt::print(stderr, "promptdistill-evaluate: {}\n", problem);
  ex::write_file(flags.out / "report.html",
                 ex::render_evaluation(task.name + ": " + ex::folder_name(flags.model_dir), setting,
                                       rows_of(results), pairs, records, heads, results, pictures));
  std::fflush(stdout);  // the table comes first where both go to one file
  fmt::print(stderr, "report: {}\n", (flags.out / "report.html").string());
}

bool has_heads(const std::vector<ex::HeadRecord>& records,
               const ex::Sample& sample,
               const ex::EvaluateFlags& flags) {
  return std::any_of(records.begin(), records.end(), [&](const ex::HeadRecord& record) {
    return record.sample == sample.id && record.budget == *flags.heads_within &&
           record.window == flags.heads_window;
  });
}

ex::HeadRecord heads_of(const pd::CausalLm& lm,
                        const ex::Sample& sample,
                        const ex::EvaluateFlags& flags) {
  pd::PrefillOptions options;
  options.progress = [](const pd::PrefillProgress&) {
    if (ex::interrupted()) throw ex::Interrupted();
  };
  ex::HeadRecord record{sample.id, sample.about, flags.heads_window, 15, *flags.heads_within, {}};
  const at::Tensor recall = ex::head_recall(lm, sample.ids, sample.needles,
                                            {{record.window, record.pool}}, record.budget, options)
                                .front();
  for (std::int64_t layer = 0; layer < recall.size(0); ++layer) {
    const float* const row = recall.const_data_ptr<float>() + layer * recall.size(1);
    record.recall.emplace_back(row, row + recall.size(1));
  }
  return record;
}

void run(const ex::EvaluateFlags& flags) {
  const pd::ModelConfig config = pd::ModelConfig::load(flags.model_dir);
  const std::vector<ex::Method> methods = flags.resolve_methods();
  const auto tokenizer =
      std::make_shared<const pd::Tokenizer>(pd::Tokenizer::load(flags.model_dir));
  const pd::ChatFormat format = pd::ChatFormat::load(flags.model_dir);
  const ex::Task task = flags.make_task(tokenizer, format, config);
  const pd::CausalLm lm = flags.model.load(flags.model_dir);

  std::vector<ex::ReplyRecord> records;
  std::vector<ex::HeadRecord> heads;
  std::map<std::pair<std::string, std::string>, std::string> known;  // prompts by sample, method
  ex::JsonLines lines(flags.out, header_of(flags, task, lm), [&](const json& line) {
    if (line.contains("recall") && line.at("recall").is_array()) {
      heads.push_back(line.get<ex::HeadRecord>());
      return;
    }
    records.push_back(line.get<ex::ReplyRecord>());
    known[{records.back().sample, records.back().method}] = records.back().prompt;
  });
  ex::catch_interrupts();

  const std::set<std::int64_t> stop_ids = ex::chat_stop_ids(flags.model_dir, *tokenizer, format);
  const ex::ReplyRunner runner(
      lm, task,
      {stop_ids,
       [&](const ex::Ids& tokens) { return ex::answer_text(*tokenizer, tokens, stop_ids); },
       [&](const std::string& text) { return tokenizer->encode(text, false); }, !flags.alone});
  ex::ProgressLine progress;
  std::set<std::string> samples;  // of this run: the file may hold those of a larger one
  std::string prompts;            // their hashes
  double done = 0, tokens = 0;    // of prompts: those that lacked replies, and all so far
  for (std::size_t index = 0; index < task.size; ++index) {
    const ex::Sample sample = task.make(index);
    samples.insert(sample.id);
    const std::string prompt = ex::prompt_hash(sample);
    prompts += prompt + "\n";
    tokens += static_cast<double>(sample.ids.size());
    std::vector<ex::Method> missing;
    for (const ex::Method& method : methods) {
      const auto found = known.find({sample.id, to_string(method.options)});
      if (found == known.end()) {
        missing.push_back(method);
      } else if (found->second != prompt) {
        throw std::runtime_error(fmt::format(
            "{} has a reply to another prompt as sample {}: the text or the question was another; "
            "choose another --out",
            (flags.out / "results.jsonl").string(), sample.id));
      }
    }
    if (flags.heads_within && !sample.needles.empty() && !has_heads(heads, sample, flags)) {
      progress.show(fmt::format("sample {} of {}, every head", index + 1, task.size));
      heads.push_back(heads_of(lm, sample, flags));
      lines.write(heads.back());
    }
    if (missing.empty()) continue;
    const auto show = [&](const std::string& name, const pd::PrefillProgress& at) {
      // Time left by the tokens so far, those to come taken to be of their mean length.
      const double left = tokens / static_cast<double>(index + 1) *
                          static_cast<double>(task.size - index) * progress.seconds() / done;
      progress.show(fmt::format("sample {} of {}, {}: layer {} of {}; {:.0f} s{}", index + 1,
                                task.size, name, at.layer + 1, at.layers, progress.seconds(),
                                done == 0 ? "" : fmt::format(", about {:.0f} s left", left)));
    };
    runner.run(sample, missing, show, [&](ex::ReplyRecord record) {
      lines.write(record);
      records.push_back(std::move(record));
    });
    done += static_cast<double>(sample.ids.size());
  }
  progress.clear();

  std::erase_if(records,
                [&](const ex::ReplyRecord& each) { return !samples.contains(each.sample); });
  std::erase_if(heads, [&](const ex::HeadRecord& each) { return !samples.contains(each.sample); });
  const std::vector<std::string> others = flags.others();
  std::vector<std::string> names;
  for (const ex::Method& method : methods) names.push_back(to_string(method.options));
  const std::vector<ex::MethodResult> results = ex::aggregate(records, names, others);
  const std::vector<std::vector<std::string>> rows = rows_of(results);
  const auto text_of = [](const std::vector<std::vector<std::string>>& of) {
    ex::Table table(of.front());
    for (std::size_t r = 1; r < of.size(); ++r) table.add(of[r]);
    return table.text();
  };
  const std::string setting =
      fmt::format("{}, {}, {} samples; score: {}, %", ex::folder_name(flags.model_dir),
                  ex::dtype_name(lm.dtype()), task.size, task.metric);
  fmt::print("{}: {}\n{}", task.name, setting, text_of(rows));
  const std::vector<std::vector<std::string>> pairs = pair_rows(results, others);
  if (!others.empty()) fmt::print("\nScores on the same prompts\n{}", text_of(pairs));
  if (const auto warnings = ex::warning_rows(results); warnings.size() > 1)
    fmt::print("\n{}\n{}", ex::kWarningTitle, text_of(warnings));
  json summary = header_of(flags, task, lm);
  summary["machine"] = ex::describe_machine(lm.device());
  summary["metric"] = task.metric;
  summary["prompts"] = {{"count", task.size}, {"hash", ex::short_hash(prompts)}};
  for (const ex::MethodResult& result : results)
    summary["results"].push_back(to_json(result, others));
  ex::write_file(flags.out / "summary.json", summary.dump(2) + "\n");
  write_report(flags, task, setting, pairs, records, heads, results);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Scores replies of full attention, PromptDistill and its rivals on the same prompts: "
      "needles, "
      "facts, RULER-style tasks, LongBench, InfiniteBench.",
      "promptdistill-evaluate");
  app.footer(kFooter);
  ex::EvaluateFlags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
