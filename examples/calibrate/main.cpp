// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-calibrate: finds heads, window, smoothing and schedule for a checkpoint, and writes
// them beside it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "examples/calibrate/calibration_prompts.hpp"
#include "examples/calibrate/choice.hpp"
#include "examples/calibrate/head_search.hpp"
#include "examples/calibrate/schedules.hpp"
#include "examples/common/distill_flags.hpp"
#include "examples/common/json_lines.hpp"
#include "examples/common/machine.hpp"
#include "examples/common/methods.hpp"
#include "examples/common/model_description.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/table.hpp"
#include "examples/common/write_file.hpp"
#include "examples/evaluate/aggregate.hpp"
#include "examples/evaluate/results.hpp"
#include "examples/evaluate/runner.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;
namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFooter = R"(Examples:
  promptdistill-calibrate MODEL_DIR
  promptdistill-calibrate MODEL_DIR --data TEXTS --lengths 2048,8192,32000 --output long.json

Facts are hidden in made-up prose, lists and code, or in --data. First every head of every layer is
asked how well it finds them; then the schedules that promise most for their time answer other
prompts beside full attention. The fastest that loses no more than --max-loss and keeps
--min-recall of the facts becomes the profile.

Exit codes: 0 done, 1 failure, 2 bad usage, 130 stopped by Ctrl-C; the same command then goes on.)";

struct CalibrateFlags {
  fs::path model_dir, data, output, work;
  std::vector<std::int64_t> lengths{1024, 2048, 4096, 7700};
  std::int64_t search_prompts = 8, test_prompts = 12;
  double max_loss = 2, min_recall = 97;
  std::uint64_t seed = 1;
  ex::ModelFlags model;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir, "a Hugging Face folder with a chat template")
        ->required()
        ->option_text("MODEL_DIR");
    const char* group = "Prompts";
    app.add_option("--data", data, "a folder of texts to hide facts in (default: made-up text)")
        ->check(CLI::ExistingDirectory)
        ->group(group);
    app.add_option("--lengths", lengths,
                   "prompt lengths in tokens; the profile vouches for prompts up to the longest")
        ->delimiter(',')
        ->check(ex::at_least(256))
        ->capture_default_str()
        ->group(group);
    app.add_option("--search-prompts", search_prompts, "of each length, to find heads on")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(group);
    app.add_option("--test-prompts", test_prompts, "of each length, to try schedules on")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(group);
    app.add_option("--seed", seed, "of facts and made-up text")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str()
        ->group(group);
    app.add_option("--max-loss", max_loss,
                   "points of right replies that the profile may lose to full attention")
        ->check(CLI::Range(0.0, 100.0))
        ->capture_default_str()
        ->group("Choice");
    app.add_option(
           "--min-recall", min_recall,
           "per cent of the facts' tokens that the profile must keep, which tells more of few "
           "prompts than their replies do")
        ->check(CLI::Range(0.0, 100.0))
        ->capture_default_str()
        ->group("Choice");
    model.add_to(app);
    app.add_option("--output", output,
                   std::string("the profile (default: MODEL_DIR/") + ex::kProfileName +
                       ", where the other programs use it unasked)")
        ->group("Output");
    app.add_option("--work", work,
                   "a folder for what was measured so far (default: the profile's name with .work)")
        ->group("Output");
  }

  void fill() {
    if (output.empty()) output = model_dir / ex::kProfileName;
    if (work.empty()) work = output.string() + ".work";
    std::sort(lengths.begin(), lengths.end());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
};

constexpr std::int64_t kWindows[] = {16, 32, 64}, kPools[] = {5, 15, 31};

/// Planters of each form over made-up text, or over one half of that of --data.
ex::FormPlanters planters_of(const CalibrateFlags& flags,
                             const pd::Tokenizer& tokenizer,
                             const pd::ChatFormat& format,
                             std::int64_t vocabulary,
                             std::uint64_t seed,
                             std::size_t half) {
  if (!flags.data.empty()) {
    const ex::Ids all = tokenizer.encode(ex::read_plain(ex::files_of(flags.data)), false);
    const auto middle = all.begin() + std::ssize(all) / 2;
    const auto one = std::make_shared<const ex::PromptPlanter>(
        tokenizer, format, half == 0 ? ex::Ids(all.begin(), middle) : ex::Ids(middle, all.end()));
    return {one, one, one};
  }
  const std::vector<std::string> words = ex::whole_words(tokenizer, vocabulary);
  ex::FormPlanters all;
  for (std::size_t form = 0; form < all.size(); ++form)
    all[form] = std::make_shared<const ex::PromptPlanter>(
        tokenizer, format,
        tokenizer.encode(ex::synthetic_document(static_cast<ex::FactForm>(form),
                                                2 * flags.lengths.back(), words, seed * 3 + form),
                         false));
  return all;
}

/// Scores of a prompt as its file has them, or computed and kept there.
ex::PromptScores scores_of(const pd::CausalLm& lm,
                           const ex::Sample& sample,
                           const std::vector<std::int64_t>& windows,
                           const fs::path& folder,
                           const pd::PrefillOptions& options) {
  const fs::path file = folder / (sample.id + "-" + ex::prompt_hash(sample) + ".scores");
  ex::PromptScores scores{std::ssize(sample.ids), sample.needles.front(), {}};
  std::size_t bytes = 0;
  for (const std::int64_t window : windows) {
    scores.by_window.push_back(at::empty(
        {lm.layers(), lm.config.num_attention_heads, scores.tokens - window}, at::kBFloat16));
    bytes += scores.by_window.back().nbytes();
  }
  std::error_code error;
  if (fs::file_size(file, error) == bytes && !error) {
    std::ifstream in(file, std::ios::binary);
    for (at::Tensor& each : scores.by_window)
      in.read(static_cast<char*>(each.mutable_data_ptr()),
              static_cast<std::streamsize>(each.nbytes()));
    if (in) return scores;
  }
  scores = ex::score_prompt(lm, sample, windows, options);
  std::string content;
  for (const at::Tensor& each : scores.by_window)
    content.append(static_cast<const char*>(each.const_data_ptr()), each.nbytes());
  ex::write_file(file, content);
  return scores;
}

std::string left_text(double seconds, double done, double all) {
  return done == 0 ? "" : fmt::format(", about {:.0f} s left", seconds / done * (all - done));
}

std::vector<ex::PromptScores> score_all(const pd::CausalLm& lm,
                                        const ex::Task& task,
                                        const std::vector<std::int64_t>& windows,
                                        const fs::path& folder,
                                        const std::function<void()>& done_one) {
  fs::create_directories(folder);
  std::vector<ex::PromptScores> all;
  ex::ProgressLine progress;
  double done = 0, total = 0;  // tokens
  for (std::size_t i = 0; i < task.size; ++i) total += static_cast<double>(task.make(i).ids.size());
  for (std::size_t i = 0; i < task.size; ++i) {
    const ex::Sample sample = task.make(i);
    pd::PrefillOptions options;
    options.progress = [&](const pd::PrefillProgress& at) {
      if (ex::interrupted()) throw ex::Interrupted();
      progress.show(fmt::format("1 of 3, what heads find: prompt {} of {}, layer {} of {}{}", i + 1,
                                task.size, at.layer + 1, at.layers,
                                left_text(progress.seconds(), done, total)));
    };
    all.push_back(scores_of(lm, sample, windows, folder, options));
    done_one();
    done += static_cast<double>(sample.ids.size());
  }
  progress.clear();
  return all;
}

/// Full attention's result and each candidate's.
std::pair<ex::MethodResult, std::vector<ex::Tried>> try_all(
    const pd::CausalLm& lm,
    const ex::Task& task,
    const std::vector<ex::Candidate>& candidates,
    const ex::ReplyRunner& runner,
    std::vector<ex::ReplyRecord>& records,
    ex::JsonLines& lines,
    std::int64_t longest,
    const std::function<void()>& done_one) {
  std::vector<ex::Method> methods{{"full", {}}};
  std::vector<std::string> names{"full"};
  for (const ex::Candidate& candidate : candidates) {
    pd::MethodOptions method;
    method.kind = pd::MethodKind::kPromptDistill;
    method.distill = candidate.options;
    check(method, lm.config.num_hidden_layers, lm.config.num_attention_heads);
    names.push_back(to_string(method));
    methods.push_back({names.back(), method});
  }
  std::set<std::string> prompts;
  std::set<std::pair<std::string, std::string>> known;
  for (const ex::ReplyRecord& record : records) known.emplace(record.prompt, record.method);
  ex::ProgressLine progress;
  double done = 0, total = 0;  // tokens
  for (std::size_t i = 0; i < task.size; ++i) total += static_cast<double>(task.make(i).ids.size());
  for (std::size_t i = 0; i < task.size; ++i) {
    const ex::Sample sample = task.make(i);
    prompts.insert(ex::prompt_hash(sample));
    std::vector<ex::Method> missing;
    for (const ex::Method& method : methods)
      if (!known.contains({ex::prompt_hash(sample), to_string(method.options)}))
        missing.push_back(method);
    const auto show = [&](const std::string&, const pd::PrefillProgress& at) {
      progress.show(fmt::format("3 of 3, {} schedules: prompt {} of {}, layer {} of {}{}",
                                candidates.size(), i + 1, task.size, at.layer + 1, at.layers,
                                left_text(progress.seconds(), done, total)));
    };
    if (!missing.empty())
      runner.run(sample, missing, show, [&](ex::ReplyRecord record) {
        lines.write(record);
        records.push_back(std::move(record));
      });
    done_one();
    done += static_cast<double>(sample.ids.size());
  }
  progress.clear();
  // What an earlier run asked with other texts at the same paths is not of this task.
  std::erase_if(records,
                [&](const ex::ReplyRecord& each) { return !prompts.contains(each.prompt); });
  std::vector<ex::Tried> tried;
  const std::vector<ex::MethodResult> results = ex::aggregate(records, names);
  for (std::size_t m = 1; m < results.size(); ++m)
    tried.push_back(ex::measured(candidates[m - 1], results[m], records, longest));
  return {results.front(), std::move(tried)};
}

json to_json(const ex::Tried& tried) {
  json out = ex::to_json(tried.candidate.options);
  out["needle_recall_predicted"] = tried.candidate.recall;
  out["speed_up_predicted"] = tried.candidate.speed_up;
  out["score"] = tried.result.score.mean;
  out["against_full"] = {
      {"mean", tried.result.against_full->mean},
      {"interval_95", {tried.result.against_full->low, tried.result.against_full->high}}};
  out["needle_recall"] = tried.result.recall ? json(*tried.result.recall) : json();
  out["against_full_at_the_longest"] = tried.longest;
  out["nll_against_full"] = tried.nll;
  out["samples"] = tried.result.samples;
  return out;
}

void run(CalibrateFlags flags) {
  flags.fill();
  const pd::ModelConfig config = pd::ModelConfig::load(flags.model_dir);
  if (flags.lengths.back() + 64 > config.context())
    throw ex::UsageError(
        fmt::format("--lengths: a prompt of {} tokens and its answer do not fit the context of {}",
                    flags.lengths.back(), config.context()));
  const pd::Tokenizer tokenizer = pd::Tokenizer::load(flags.model_dir);
  const pd::ChatFormat format = pd::ChatFormat::load(flags.model_dir);
  const pd::CausalLm lm = flags.model.load(flags.model_dir);
  const std::vector<std::int64_t> windows(std::begin(kWindows), std::end(kWindows)),
      pools(std::begin(kPools), std::end(kPools));

  const std::string fingerprint = pd::fingerprint(flags.model_dir);
  const json settings{{"lengths", flags.lengths},
                      {"search_prompts", flags.search_prompts},
                      {"test_prompts", flags.test_prompts},
                      {"seed", flags.seed},
                      {"windows", windows},
                      {"protect_first", ex::kProtectFirst},
                      {"protect_last", ex::kProtectLast},
                      {"data", flags.data.empty() ? "made-up text" : flags.data.string()},
                      {"dtype", ex::dtype_name(lm.dtype())},
                      {"device", lm.device().str()}};
  std::vector<ex::ReplyRecord> records;
  const json header{
      {"model", {{"fingerprint", fingerprint}}}, {"settings", settings}, {"version", pd::kVersion}};
  double spent = 0;  // seconds of this run and those that it goes on from
  ex::JsonLines lines(flags.work, header, [&](const json& line) {
    if (line.contains("seconds"))
      spent += line.at("seconds").get<double>();
    else
      records.push_back(line.get<ex::ReplyRecord>());
  });
  ex::check_writable(flags.output);
  ex::catch_interrupts();
  const ex::ProgressLine clock;
  double noted = 0;
  const auto note_time = [&] {
    const double seconds = clock.seconds() - std::exchange(noted, clock.seconds());
    spent += seconds;
    lines.write({{"seconds", seconds}});
  };

  const auto task_of = [&](std::uint64_t seed, std::size_t half, std::int64_t prompts) {
    return ex::calibration_task(
        planters_of(flags, tokenizer, format, config.vocab_size, seed, half),
        {flags.lengths, prompts, 32, seed, half, !flags.data.empty()});
  };
  const std::uint64_t search_seed = 2 * flags.seed, test_seed = 2 * flags.seed + 1;
  const ex::Task search = task_of(search_seed, 0, flags.search_prompts),
                 test = task_of(test_seed, 1, flags.test_prompts);
  const fs::path folder = flags.work / ("scores-" + ex::short_hash(header.dump()));
  const std::vector<ex::Candidate> candidates = [&] {
    const std::vector<ex::PromptScores> scores = score_all(lm, search, windows, folder, note_time);
    ex::ProgressLine progress;
    const std::vector<ex::ScoringResult> found =
        ex::search_heads(scores, windows, pools, [&](std::size_t done, std::size_t all) {
          if (ex::interrupted()) throw ex::Interrupted();
          progress.show(fmt::format(
              "2 of 3, which heads vote: {} of {}{}", done + 1, all,
              left_text(progress.seconds(), static_cast<double>(done), static_cast<double>(all))));
        });
    progress.show("2 of 3, schedules on paper");
    return ex::candidate_schedules(config, lm.dtype(), flags.lengths.back(), found);
  }();

  const std::set<std::int64_t> stop_ids = ex::chat_stop_ids(flags.model_dir, tokenizer, format);
  const ex::ReplyRunner runner(
      lm, test,
      {stop_ids, [&](const ex::Ids& ids) { return ex::answer_text(tokenizer, ids, stop_ids); },
       [&](const std::string& text) { return tokenizer.encode(text, false); }, true});
  const auto [full, tried] =
      try_all(lm, test, candidates, runner, records, lines, flags.lengths.back(), note_time);

  ex::Table table({"stages", "window", "pool", "heads", "speed-up", "right", "less full (95 %)",
                   "at the longest", "nll", "needle kept"});
  table.add({"full attention", "-", "-", "-", "1.00x",
             fmt::format("{:.1f} %", 100 * full.score.mean), "-", "-", "-", "100.0 %"});
  for (const ex::Tried& each : tried) {
    const pd::DistillOptions& options = each.candidate.options;
    table.add(
        {to_string(options.stages), std::to_string(options.window), std::to_string(options.pool),
         pd::to_string(options.heads), fmt::format("{:.2f}x", each.candidate.speed_up),
         fmt::format("{:.1f} %", 100 * each.result.score.mean),
         fmt::format("{:+.1f} ({:+.1f} to {:+.1f})", 100 * each.result.against_full->mean,
                     100 * each.result.against_full->low, 100 * each.result.against_full->high),
         fmt::format("{:+.1f}", 100 * each.longest), fmt::format("{:+.3f}", each.nll),
         each.result.recall ? fmt::format("{:.1f} %", 100 * *each.result.recall) : "-"});
  }
  const std::string name = ex::folder_name(flags.model_dir);
  fmt::print("{}, {}, {} prompts of {} to {} tokens\n{}", name, ex::dtype_name(lm.dtype()),
             test.size, flags.lengths.front(), flags.lengths.back(), table.text());
  const ex::Tried& best =
      ex::choose(tried, full.score.mean, {flags.max_loss / 100, flags.min_recall / 100});

  json profile = ex::to_json(best.candidate.options);
  profile["version"] = pd::Profile::kVersion;
  profile["name"] = name + ", calibrated";
  profile["fingerprint"] = fingerprint;
  profile["longest_prompt"] = flags.lengths.back();
  profile["evidence"] = {{"program", std::string("promptdistill-calibrate ") + pd::kVersion},
                         {"settings", settings},
                         {"seeds", {{"search", search_seed}, {"test", test_seed}}},
                         {"machine", ex::describe_machine(lm.device())},
                         {"seconds", spent},
                         {"max_loss", flags.max_loss},
                         {"min_recall", flags.min_recall},
                         {"full_attention", full.score.mean},
                         {"this", to_json(best)}};
  for (const ex::Tried& each : tried) profile["evidence"]["front"].push_back(to_json(each));
  ex::write_file(flags.output, profile.dump(2) + "\n");
  std::error_code error;
  fs::remove_all(folder, error);  // large, and made again where they are missing
  fmt::print("chosen: {}\n", to_string(best.candidate.options.stages));
  fmt::print("profile: {}\n", flags.output.string());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Finds what a checkpoint needs to keep its answers when it is distilled, and writes it as a "
      "profile.",
      "promptdistill-calibrate");
  app.footer(kFooter);
  CalibrateFlags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
