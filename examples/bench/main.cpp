// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-bench: what each method costs on this machine, side by side, in time and memory.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "examples/bench/flags.hpp"
#include "examples/bench/plots.hpp"
#include "examples/bench/report.hpp"
#include "examples/bench/results_file.hpp"
#include "examples/bench/retention_methods.hpp"
#include "examples/bench/runner.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/write_file.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;
using nlohmann::json;

constexpr const char* kFooter = R"(Examples:
  promptdistill-bench MODEL_DIR --report build/bench
  promptdistill-bench MODEL_DIR --suite prefill --lengths 7700 --method promptdistill:stages=14:512 --method gemfilter:layer=14,tokens=512
  promptdistill-bench --random llama-3.1-8b-4-layers --lengths 4096,16384 --reps 3 --report build/bench-8b

Exit codes: 0 done, 1 failure, 2 bad usage, 130 stopped by Ctrl-C; with --report the same command then goes on.)";

/// The child's work: one method's memory, as a line of JSON.
void measure_alone(const ex::BenchFlags& flags) {
  const pd::CausalLm lm = flags.model.load();
  const pd::MethodOptions method =
      ex::reading_flags([&] { return pd::parse_method(*flags.alone); });
  const auto prompt = flags.model.prompt(flags.longest(), lm.config.vocab_size);
  fmt::print("{}\n", json(ex::measure_memory(lm, prompt, method, flags.run_settings())).dump());
}

/// Bytes of the weights that a decode step reads: of an untied embedding it reads a row alone.
std::int64_t weight_bytes_read(const pd::CausalLm& lm) {
  const bool tied = lm.lm_head.is_same(lm.model.embed_tokens);
  return static_cast<std::int64_t>(ex::weight_bytes(lm) -
                                   (tied ? 0 : lm.model.embed_tokens.nbytes()));
}

void write_report(const ex::BenchReport& report, const std::filesystem::path& folder) {
  ex::write_file(folder / "summary.json", ex::to_json(report).dump(2) + "\n");
  std::string problem;
  const std::vector<std::string> plots = ex::write_plots(ex::make_plots(report), folder, problem);
  ex::write_file(folder / "report.html", ex::render(report, plots));
  if (!problem.empty()) fmt::print(stderr, "promptdistill-bench: {}\n", problem);
  std::fflush(stdout);  // the table comes first where both go to one file
  fmt::print(stderr, "report: {}\n", (folder / "report.html").string());
}

void run(const ex::BenchFlags& flags) {
  flags.model.check();
  if (flags.alone) return measure_alone(flags);
  if (flags.json_file && *flags.json_file != "-") ex::check_writable(*flags.json_file);
  const pd::ModelConfig config = flags.model.config();
  flags.check_lengths(config);
  const std::vector<ex::BenchMethod> methods = flags.resolve_methods(config);
  const std::vector<ex::RetentionPoint> points = flags.has("retention")
                                                     ? ex::retention_points(config, flags.longest())
                                                     : std::vector<ex::RetentionPoint>{};
  const pd::CausalLm lm = flags.model.load();
  const json header = flags.header(lm, methods);
  ex::ResultsFile results =
      flags.report ? ex::ResultsFile(*flags.report, header) : ex::ResultsFile();
  const bool quiet = flags.json_file == "-";
  if (!quiet) {
    fmt::print("{}", ex::wrapped("", flags.model.name() + ": " + ex::setting_line(header)));
    std::fflush(stdout);
  }
  ex::catch_interrupts();

  ex::BenchRunner runner(flags, lm, results);
  for (const std::int64_t length : flags.lengths) {
    if (flags.has("prefill") || flags.has("decode")) runner.run_times("methods", length, methods);
    if (flags.has("memory")) runner.run_memory(length, methods);
    if (flags.has("batch")) runner.run_batches(length, methods);
    if (flags.has("document")) runner.run_documents(length, methods);
  }
  if (!points.empty()) runner.run_times("retention", flags.longest(), ex::methods_of(points));

  const ex::SummaryContext context{.config = config,
                                   .dtype = lm.dtype(),
                                   .new_tokens = flags.run_settings().new_tokens,
                                   .prefill_chunk = flags.prefill_chunk,
                                   .weight_bytes_read = weight_bytes_read(lm)};
  const ex::BenchReport report =
      ex::make_report(header, flags.model.name(), results.records(), context, flags.lengths,
                      methods, points, flags.longest());
  if (!quiet)
    for (const ex::ReportTable& table : report.tables) fmt::print("{}", table.text());
  if (flags.json_file) ex::write_output(*flags.json_file, ex::to_json(report).dump(2) + "\n");
  if (flags.report) write_report(report, *flags.report);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Measures full attention, PromptDistill and its rivals side by side: first token, decoding, "
      "cache and peak memory.",
      "promptdistill-bench");
  app.footer(kFooter);
  ex::BenchFlags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
