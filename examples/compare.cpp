// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-compare: one long document and one question, answered in full and distilled, side
// by side.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "examples/common/decode_with.hpp"
#include "examples/common/html_page.hpp"
#include "examples/common/memory_meter.hpp"
#include "examples/common/methods.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/planted_prompt.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/statistics.hpp"
#include "examples/common/table.hpp"
#include "examples/common/write_file.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/text.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;
using nlohmann::json;

constexpr double kMiB = 1 << 20;

struct Flags {
  std::filesystem::path model_dir;
  std::vector<std::filesystem::path> documents{"/usr/share/common-licenses/GPL-3",
                                               "/usr/share/common-licenses/GFDL-1.3"};
  std::string fact =
      "The keeper of the Varnhem lighthouse hides the spare key under the blue flowerpot.";
  std::string question = "Where does the keeper of the Varnhem lighthouse hide the spare key?";
  double depth = 45;
  std::vector<std::int64_t> tokens{4000, 7000};
  std::int64_t runs = 3, new_tokens = 32;
  ex::MethodFlags methods;
  ex::ModelFlags model;
  std::optional<std::int64_t> prefill_chunk;
  std::optional<std::string> json_file, html_file;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir, "a Hugging Face folder with a chat template")
        ->required()
        ->option_text("MODEL_DIR");
    const char* prompt = "Prompt";
    app.add_option("--document", documents,
                   "text files, joined (default: two licences that every Debian machine has)")
        ->check(CLI::ExistingFile)
        ->group(prompt);
    app.add_option("--tokens", tokens, "prompt lengths in tokens")
        ->delimiter(',')
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(prompt);
    app.add_option("--fact", fact, "the sentence to plant")->capture_default_str()->group(prompt);
    app.add_option("--question", question, "the question about it")
        ->capture_default_str()
        ->group(prompt);
    app.add_option("--depth", depth, "where it is planted, in per cent of the document")
        ->check(CLI::Range(0, 100))
        ->capture_default_str()
        ->group(prompt);
    methods.add_to(app);
    model.add_to(app);
    ex::add_prefill_chunk(app, prefill_chunk);
    app.add_option("--runs", runs, "runs of each method, in turn; medians are shown")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group("Running");
    app.add_option("--new-tokens", new_tokens, "tokens to decode, the first one included")
        ->check(CLI::Range(2, 100000))
        ->capture_default_str()
        ->group("Running");
    app.add_option("--json", json_file, "write all of it as JSON")->group("Output");
    app.add_option(
           "--html", html_file,
           "write a page of the first prompt in which the last method's kept tokens stand out")
        ->group("Output");
  }
};

/// What one method did on one prompt, in every run.
struct Row {
  std::vector<double> prefill, decode;  // seconds
  pd::GenerateResult last;
  std::int64_t peak = 0;  // bytes above the weights
  std::string answer;

  double first_token() const { return ex::median(prefill); }
  double decode_rate() const {
    return static_cast<double>(last.tokens.size() - 1) / ex::median(decode);
  }
};

std::string kept(const Row& row) {
  std::string text;
  for (const pd::StageRecord& stage : row.last.stages)
    text +=
        fmt::format("{}{}:{}", text.empty() ? "" : " ", stage.layer, stage.kept_positions.numel());
  return text.empty() ? "all" : text;
}

json to_json(const ex::Method& method, const Row& row, const Row& full, std::size_t prompt_tokens) {
  json stages = json::array();
  for (const pd::StageRecord& stage : row.last.stages)
    stages.push_back({{"layer", stage.layer}, {"kept", stage.kept_positions.numel()}});
  return {{"method", method.name},
          {"settings", ex::to_json(method.options)},
          {"prompt_tokens", prompt_tokens},
          {"stages", std::move(stages)},
          {"prefill_seconds", row.prefill},
          {"decode_seconds", row.decode},
          {"decoded_tokens", row.last.tokens.size()},
          {"time_to_first_token", row.first_token()},
          {"speed_up", full.first_token() / row.first_token()},
          {"decode_tokens_per_second", row.decode_rate()},
          {"cache_bytes", row.last.cache_bytes},
          {"cache_rows", row.last.cache_rows},
          {"peak_bytes", row.peak},
          {"answer", row.answer}};
}

ex::HtmlPage page_of(const Flags& flags,
                     const pd::Tokenizer& tokenizer,
                     const ex::Ids& ids,
                     const std::vector<ex::Method>& methods,
                     const std::vector<Row>& rows) {
  const Row &full = rows.front(), &row = rows.back();
  ex::HtmlPage page;
  page.title = "What the model went on with: " + methods.back().name;
  page.model = ex::folder_name(flags.model_dir);
  for (const std::int64_t id : ids) page.tokens.push_back(tokenizer.token_bytes(id));
  for (std::size_t s = 0; s < row.last.stages.size(); ++s) {
    const at::Tensor positions = row.last.stages[s].kept_positions.to(at::kCPU).contiguous();
    const auto* data = positions.const_data_ptr<std::int64_t>();
    page.stages.push_back({row.last.stages[s].layer,
                           ex::budget_at(methods.back().options, row.last.stages[s].layer),
                           {data, data + positions.numel()}});
  }
  page.facts = {
      {"prompt tokens", fmt::format("{}", ids.size())},
      {"time to first token",
       fmt::format("{:.2f} s, {:.2f}x faster than full attention", row.first_token(),
                   full.first_token() / row.first_token())},
      {"cache after prefill",
       fmt::format("{:.1f} MiB of {:.1f}", static_cast<double>(row.last.cache_bytes) / kMiB,
                   static_cast<double>(full.last.cache_bytes) / kMiB)}};
  for (std::size_t m = 0; m < methods.size(); ++m)
    page.answers.emplace_back(methods[m].name, rows[m].answer);
  return page;
}

void run(const Flags& flags) {
  for (const auto& file : {flags.json_file, flags.html_file}) {
    if (file) ex::check_writable(*file);
  }
  const std::vector<ex::Method> methods = flags.methods.resolve(flags.model_dir);
  const pd::Tokenizer tokenizer = pd::Tokenizer::load(flags.model_dir);
  const pd::ChatFormat format = pd::ChatFormat::load(flags.model_dir);
  const std::set<std::int64_t> stop_ids = ex::chat_stop_ids(flags.model_dir, tokenizer, format);
  const ex::PromptPlanter planter(tokenizer, format,
                                  tokenizer.encode(ex::read_plain(flags.documents), false));
  std::vector<ex::PlantedPrompt> prompts;
  for (const std::int64_t length : flags.tokens)
    prompts.push_back(planter.plant(length, 0, {{flags.depth / 100, flags.fact}}, flags.question));
  const pd::CausalLm lm = flags.model.load(flags.model_dir);
  fmt::print(
      "{}, {}, {}, {} threads; medians of {} runs in turn.\nPlanted at {:g} % of the document: "
      "{}\nAsked at its end: {}\n",
      ex::folder_name(flags.model_dir), ex::dtype_name(lm.dtype()), lm.device().str(),
      at::get_num_threads(), flags.runs, flags.depth, flags.fact, flags.question);
  std::fflush(stdout);
  ex::catch_interrupts();
  {
    // The first touch of the mapped weights is the disk's time, not a method's.
    pd::KvCache cache = lm.make_cache();
    const auto warm = std::min<std::size_t>(prompts[0].ids.size(), 256);
    lm.prefill(at::tensor(ex::Ids(prompts[0].ids.begin(),
                                  prompts[0].ids.begin() + static_cast<std::ptrdiff_t>(warm)),
                          at::kLong),
               {static_cast<std::int64_t>(warm)}, cache);
  }

  json all = json::array();
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    const ex::Ids& ids = prompts[p].ids;
    const ex::Ids document{ids.begin(), ids.begin() + prompts[p].question},
        question{ids.begin() + prompts[p].question, ids.end()};
    std::vector<Row> rows(methods.size()), asked(methods.size());
    ex::ProgressLine progress;
    const auto shown = [&](std::int64_t run, const std::string& what) {
      return [&, run, what](const pd::PrefillProgress& at) {
        if (ex::interrupted()) throw ex::Interrupted();
        progress.show(fmt::format("{} tokens, run {} of {}, {}: layer {} of {}", ids.size(),
                                  run + 1, flags.runs, what, at.layer + 1, at.layers));
      };
    };
    for (std::int64_t r = 0; r < flags.runs; ++r) {
      for (std::size_t m = 0; m < methods.size(); ++m) {
        pd::GenerateOptions options;
        options.decode_with = ex::fastest_decode();
        options.max_new_tokens =
            flags.new_tokens;  // no stop: every method decodes the same number of tokens
        options.prefill.prefill_chunk = flags.prefill_chunk;
        options.prefill.progress = shown(r, methods[m].name);
        const ex::MemoryMeter meter;
        pd::KvCache cache = lm.make_cache(1, flags.new_tokens);
        rows[m].last = pd::run_method(lm, ids, methods[m].options, options, cache);
        rows[m].prefill.push_back(rows[m].last.prefill_seconds);
        rows[m].decode.push_back(rows[m].last.decode_seconds);
        rows[m].peak = std::max(rows[m].peak, meter.peak_bytes());
        rows[m].answer = ex::answer_text(tokenizer, rows[m].last.tokens, stop_ids);
      }
      // What a second question takes: the document is there from the first.
      const std::int64_t new_tokens =
          std::min(flags.new_tokens, lm.config.context() - std::ssize(ids));
      for (std::size_t m = 0; m < methods.size() && new_tokens >= 2; ++m) {
        if (methods[m].options.kind != pd::MethodKind::kPromptDistill) continue;
        const pd::AnyDistiller policy = pd::make_distiller(methods[m].options.distill);
        pd::GenerateOptions options;
        options.decode_with = ex::fastest_decode();
        options.max_new_tokens = new_tokens;
        options.prefill.prefill_chunk = flags.prefill_chunk;
        options.prefill.placement = methods[m].options.placement;
        options.prefill.progress = shown(r, methods[m].name + ", a second question");
        const ex::MemoryMeter meter;
        const pd::Document state = pd::Document::read(
            lm, at::tensor(document, at::kLong), pd::first_stage(policy, lm.layers()),
            std::ssize(ids) + new_tokens, options.prefill);
        pd::KvCache cache = lm.make_cache(1, new_tokens);
        asked[m].last = state.ask(question, cache, policy, options);
        asked[m].last.cache_bytes = state.bytes() + cache.bytes() - cache.frozen_bytes();
        asked[m].prefill.push_back(asked[m].last.prefill_seconds);
        asked[m].decode.push_back(asked[m].last.decode_seconds);
        asked[m].peak = std::max(asked[m].peak, meter.peak_bytes());
        asked[m].answer = ex::answer_text(tokenizer, asked[m].last.tokens, stop_ids);
      }
    }
    progress.clear();
    ex::Table table({"method", "prompt tokens", "kept per stage", "first token", "speed-up",
                     "decode", "cache", "peak"});
    const auto add = [&](const std::string& name, const ex::Method& method, const Row& row,
                         bool second) {
      table.add({name, fmt::format("{}", ids.size()), kept(row),
                 fmt::format("{:.2f} s", row.first_token()),
                 fmt::format("{:.2f}x", rows[0].first_token() / row.first_token()),
                 fmt::format("{:.1f} tok/s", row.decode_rate()),
                 fmt::format("{:.1f} MiB", static_cast<double>(row.last.cache_bytes) / kMiB),
                 fmt::format("{:.1f} MiB", static_cast<double>(row.peak) / kMiB)});
      all.push_back(to_json(method, row, rows[0], ids.size()));
      all.back()["second_question"] = second;
    };
    for (std::size_t m = 0; m < methods.size(); ++m) {
      add(methods[m].name, methods[m], rows[m], false);
      if (!asked[m].prefill.empty()) add("  a second question", methods[m], asked[m], true);
    }
    fmt::print("\n{}", table.text());
    for (std::size_t m = 0; m < methods.size(); ++m)
      fmt::print("  {}: {}\n", methods[m].name, rows[m].answer);
    std::fflush(stdout);
    if (p == 0 && flags.html_file)
      ex::write_html(*flags.html_file, page_of(flags, tokenizer, ids, methods, rows));
  }
  fmt::print(
      "\nkept per stage: layer:tokens that went on; cache: keys and values after prefill; peak: "
      "tensors above the weights. A second question is asked of the document as the first one left "
      "it: cache is what the document and one question hold.\n");
  if (flags.json_file) {
    const json out{{"model_dir", flags.model_dir.string()},
                   {"dtype", ex::dtype_name(lm.dtype())},
                   {"device", lm.device().str()},
                   {"threads", at::get_num_threads()},
                   {"runs", flags.runs},
                   {"prefill_chunk", flags.prefill_chunk ? json(*flags.prefill_chunk) : json()},
                   {"documents", flags.documents},
                   {"fact", flags.fact},
                   {"question", flags.question},
                   {"depth_percent", flags.depth},
                   {"version", pd::kVersion},
                   {"results", all}};
    ex::write_file(*flags.json_file, out.dump(2) + "\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Answers one question about one long document in full and distilled, and shows what that "
      "saved.",
      "promptdistill-compare");
  app.footer(
      "Example:\n  promptdistill-compare MODEL_DIR --profile "
      "examples/profiles/smollm2-135m-instruct-calibrated.json --tokens 4096,7700 --runs 10");
  Flags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
