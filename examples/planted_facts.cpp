// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-planted-facts: how many planted facts a model still finds, per method. 24 prompts:
// six kinds of facts, four of a kind, each at another depth of another piece of the document.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

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

struct Kind {
  const char* name;
  const char* fact;      // {0}: what is asked about, {1}: the answer
  const char* question;  // {0} likewise
  std::array<std::array<const char*, 2>, 4> values;
};

constexpr std::array<Kind, 6> kKinds{{
    {"number",
     "The suitcase of {0} is in locker number {1}.",
     "In which locker is the suitcase of {0}? Answer with the number only.",
     {{{"the clockmaker", "7316"},
       {"the violinist", "4082"},
       {"the ambassador", "9557"},
       {"the beekeeper", "2649"}}}},
    {"person",
     "The head gardener of {0} is called {1}.",
     "What is the name of the head gardener of {0}?",
     {{{"Ellsworth Castle", "Dorothea Finch"},
       {"Marrow Abbey", "Casimir Holt"},
       {"Penrose Hall", "Ottilie Brandt"},
       {"Tarn House", "Silas Whitcombe"}}}},
    {"colour",
     "The ferry to the island of {0} is painted {1}.",
     "In which colour is the ferry to the island of {0} painted?",
     {{{"Skorpa", "orange"}, {"Vessla", "purple"}, {"Hirta", "yellow"}, {"Anholt", "turquoise"}}}},
    {"instrument",
     "In her free time Professor {0} plays the {1}.",
     "Which instrument does Professor {0} play in her free time?",
     {{{"Adeyemi", "cello"},
       {"Lindqvist", "trumpet"},
       {"Okafor", "harp"},
       {"Marchetti", "clarinet"}}}},
    {"year",
     "The stone bridge over the river {0} was built in the year {1}.",
     "In which year was the stone bridge over the river {0} built?",
     {{{"Tamble", "1847"}, {"Ouzel", "1612"}, {"Wenning", "1739"}, {"Lathe", "1896"}}}},
    {"ingredient",
     "The secret ingredient of {0}'s famous soup is {1}.",
     "What is the secret ingredient of {0}'s famous soup?",
     {{{"Aunt Philippa", "fennel"},
       {"Chef Moreau", "nutmeg"},
       {"Mrs. Castellan", "cinnamon"},
       {"Brother Anselm", "horseradish"}}}},
}};

struct Flags {
  std::filesystem::path model_dir;
  std::filesystem::path text_dir = "/usr/share/common-licenses";
  std::int64_t tokens = 4096, new_tokens = 16, limit = 24;
  std::uint64_t seed = 1;
  bool show = false;
  ex::MethodFlags methods;
  ex::ModelFlags model;
  std::optional<std::string> json_file;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir, "a Hugging Face folder with a chat template")
        ->required()
        ->option_text("MODEL_DIR");
    app.add_option("--text-dir", text_dir,
                   "the folder whose files are the document (default: the licences that every "
                   "Debian machine has)")
        ->check(CLI::ExistingDirectory);
    app.add_option("--tokens", tokens, "prompt length")
        ->check(ex::at_least(1))
        ->capture_default_str();
    app.add_option("--new-tokens", new_tokens, "longest reply")
        ->check(ex::at_least(1))
        ->capture_default_str();
    app.add_option("--limit", limit, "run only so many of the 24 prompts")
        ->check(CLI::Range(1, 24))
        ->capture_default_str();
    app.add_option("--seed", seed, "which pieces of the document")->capture_default_str();
    methods.add_to(app);
    model.add_to(app);
    app.add_flag("--show", show, "print every reply");
    app.add_option("--json", json_file, "write every prompt, reply and time as JSON");
  }
};

/// The files of a folder in sorted order; links are other names of the same files.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool contains(std::string text, std::string part) {
  const auto lower = [](std::string& s) {
    std::transform(s.begin(), s.end(), s.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  };
  lower(text);
  lower(part);
  return text.find(part) != std::string::npos;
}

struct Score {
  int right = 0;
  std::map<std::string, int> by_kind;
  double fact_kept = 0;  // mean share of the fact's tokens that went on after the last stage
  std::vector<double> prefill;
};

double share_kept(const pd::GenerateResult& result, const ex::PlantedPrompt& prompt) {
  if (result.stages.empty()) return 1;
  const at::Tensor kept = result.stages.back().kept_positions;
  return kept.ge(prompt.fact_begin).logical_and_(kept.lt(prompt.fact_end)).sum().item<double>() /
         static_cast<double>(prompt.fact_end - prompt.fact_begin);
}

void run(const Flags& flags) {
  if (flags.json_file) ex::check_writable(*flags.json_file);
  const std::vector<ex::Method> methods = flags.methods.resolve(flags.model_dir);
  const pd::Tokenizer tokenizer = pd::Tokenizer::load(flags.model_dir);
  const pd::ChatFormat format = pd::ChatFormat::load(flags.model_dir);
  const std::set<std::int64_t> stop_ids = ex::chat_stop_ids(flags.model_dir, tokenizer, format);
  const ex::PromptPlanter planter(
      tokenizer, format, tokenizer.encode(ex::read_plain(files_of(flags.text_dir)), false));
  const pd::CausalLm lm = flags.model.load(flags.model_dir);
  ex::catch_interrupts();
  std::mt19937_64 random(flags.seed);
  std::vector<Score> scores(methods.size());
  json samples = json::array();
  ex::ProgressLine progress;
  std::int64_t done = 0;
  for (std::size_t variant = 0; variant < 4; ++variant) {
    for (const Kind& kind : kKinds) {
      if (done == flags.limit) break;
      const auto [about, answer] = kind.values[variant];
      const std::string fact = fmt::format(fmt::runtime(kind.fact), about, answer),
                        question = fmt::format(fmt::runtime(kind.question), about);
      const std::int64_t slack =
          std::max<std::int64_t>(planter.document_tokens() - flags.tokens, 0);
      const auto start =
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(slack + 1));
      // Depths from 2 to 98 %, spread over the kinds.
      const double depth = (static_cast<double>(done * 7 % 24) + 0.5) / 24;
      const ex::PlantedPrompt prompt = planter.plant(flags.tokens, depth, start, fact, question);
      for (std::size_t m = 0; m < methods.size(); ++m) {
        pd::GenerateOptions options;
        options.max_new_tokens = flags.new_tokens;
        options.stop_ids = stop_ids;
        options.prefill.progress = [&](const pd::PrefillProgress&) {
          if (ex::interrupted()) throw ex::Interrupted();
          progress.show(fmt::format("prompt {} of {}, {}; {:.0f} s", done + 1, flags.limit,
                                    methods[m].name, progress.seconds()));
        };
        pd::KvCache cache = lm.make_cache(1, flags.new_tokens);
        const pd::GenerateResult result =
            pd::run_method(lm, prompt.ids, methods[m].options, options, cache);
        const std::string reply = ex::answer_text(tokenizer, result.tokens, stop_ids);
        const bool right = contains(reply, answer);
        scores[m].right += right;
        scores[m].by_kind[kind.name] += right;
        scores[m].fact_kept += share_kept(result, prompt);
        scores[m].prefill.push_back(result.prefill_seconds);
        samples.push_back({{"kind", kind.name},
                           {"fact", fact},
                           {"depth", depth},
                           {"start", start},
                           {"method", methods[m].name},
                           {"reply", reply},
                           {"right", right},
                           {"fact_kept", share_kept(result, prompt)},
                           {"prefill_seconds", result.prefill_seconds}});
        if (flags.show)
          fmt::print("{} {:3.0f} % {:8} {}: {}\n", right ? "right" : "wrong", depth * 100, answer,
                     methods[m].name, reply);
      }
      ++done;
    }
  }
  progress.clear();
  std::vector<std::string> head{"method", "right", "fact kept", "prefill"};
  for (const Kind& kind : kKinds) head.push_back(kind.name);
  ex::Table table(head);
  for (std::size_t m = 0; m < methods.size(); ++m) {
    Score& score = scores[m];
    std::vector<std::string> row{
        methods[m].name, fmt::format("{} of {}", score.right, done),
        fmt::format("{:.0f} %", 100 * score.fact_kept / static_cast<double>(done)),
        fmt::format("{:.2f}x", ex::median(scores[0].prefill) / ex::median(score.prefill))};
    for (const Kind& kind : kKinds) row.push_back(fmt::format("{}", score.by_kind[kind.name]));
    table.add(row);
  }
  fmt::print("{}, {}, {}, {} threads; {} prompts of {} tokens over {}\n{}",
             flags.model_dir.filename().string(), ex::dtype_name(lm.dtype()), lm.device().str(),
             at::get_num_threads(), done, flags.tokens, flags.text_dir.string(), table.text());
  if (flags.json_file) {
    json out{{"model_dir", flags.model_dir.string()},
             {"tokens", flags.tokens},
             {"seed", flags.seed},
             {"text_dir", flags.text_dir.string()},
             {"dtype", ex::dtype_name(lm.dtype())},
             {"threads", at::get_num_threads()},
             {"version", pd::kVersion},
             {"samples", samples}};
    for (const ex::Method& method : methods)
      out["methods"][method.name] = ex::to_json(method.options);
    ex::write_file(*flags.json_file, out.dump(2) + "\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Plants a fact in a long document, asks for it, and counts the right replies of each method.",
      "promptdistill-planted-facts");
  app.footer(
      "Example:\n  promptdistill-planted-facts MODEL_DIR --stages 14:512 --profile "
      "examples/profiles/smollm2-135m-instruct.json");
  Flags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
