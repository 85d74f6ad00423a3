// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-generate: answers one prompt with a Hugging Face checkpoint, in full or distilled.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "examples/common/answers.hpp"
#include "examples/common/chat_flags.hpp"
#include "examples/common/decode_with.hpp"
#include "examples/common/html_page.hpp"
#include "examples/common/ids.hpp"
#include "examples/common/memory_meter.hpp"
#include "examples/common/method_flags.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/sampling_flags.hpp"
#include "examples/common/write_file.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/text.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;
using nlohmann::json;

constexpr const char* kFooter = R"(Examples:
  promptdistill-generate MODEL_DIR --chat --prompt 'Why is the sky blue?'
  promptdistill-generate MODEL_DIR --chat --prompt-file report.txt --stages 14:512 --json out.json
  promptdistill-generate MODEL_DIR --chat --prompt-file report.txt --method snapkv:capacity=512,window=32
  promptdistill-generate MODEL_DIR --chat --prompt-file - --profile examples/profiles/smollm2-135m-instruct-calibrated.json < report.txt

Plain --stages scores as the paper does (--scorer last, --pool 5, nothing protected), but before the layer's attention and
without cutting caches: --placement after --truncate all is the paper's.
Exit codes: 0 answered, 1 failure, 2 bad usage, 130 stopped by Ctrl-C (the answer so far is kept).)";

struct Flags {
  std::filesystem::path model_dir;
  std::optional<std::string> prompt, prompt_file, ids_file, system;
  ex::ChatFlags chat;
  ex::MethodFlag method;
  ex::ModelFlags model;
  std::optional<std::int64_t> prefill_chunk;
  std::int64_t max_new_tokens = 64;
  ex::SamplingFlags sampling;
  std::vector<std::string> stop;
  std::optional<std::string> json_file, html_file;
  bool dump_scores = false, dump_logits = false;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir,
                   "a Hugging Face folder: config.json, model.safetensors, tokenizer.json")
        ->required()
        ->option_text("MODEL_DIR");
    auto* input = app.add_option_group("Prompt", "one of these");
    input->add_option("--prompt", prompt, "the text itself");
    input->add_option("--prompt-file", prompt_file, "a file with the text; - reads standard input");
    input->add_option(
        "--ids-file", ids_file,
        "a JSON array of token ids: nothing is added to them, no tokenizer is needed");
    input->require_option(1);
    chat.add_to(app);
    app.add_option("--system", system, "the system's turn (default: the chat format's own)");
    method.add_to(app);
    const char* answer = "Answer";
    app.add_option("--max-new-tokens", max_new_tokens, "the answer's length at most")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(answer);
    sampling.add_to(app, answer);
    app.add_option("--stop", stop,
                   "end the answer before this text; may be given several times. A special token's "
                   "text stands for the token")
        ->option_text("TEXT")
        ->allow_extra_args(false)
        ->group(answer);
    model.add_to(app);
    ex::add_prefill_chunk(app, prefill_chunk);
    const char* output = "Output";
    app.add_option("--json", json_file,
                   "write everything about this run as JSON; - writes it to standard output "
                   "instead of the text")
        ->group(output);
    app.add_flag("--dump-scores", dump_scores, "with --json: every stage's scores")->group(output);
    app.add_flag("--dump-logits", dump_logits,
                 "with --json: the logits of the first and the last token")
        ->group(output);
    app.add_option("--html", html_file, "write a page of the prompt in which kept tokens stand out")
        ->group(output);
  }

  void check() const {
    for (const auto& file : {json_file, html_file}) {
      if (file && file != "-") ex::check_writable(*file);
    }
    chat.check();
    if (system && !chat.chat) throw ex::UsageError("--system needs --chat");
    if (chat.chat && ids_file)
      throw ex::UsageError(
          "--chat goes with --prompt or --prompt-file; token ids are taken as they are");
    if ((dump_scores || dump_logits) && !json_file)
      throw ex::UsageError("--dump-scores and --dump-logits need --json");
    sampling.check();
    ex::reading_flags([&] { pd::StopStrings{stop}; });
  }
};

std::vector<float> floats(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU, at::kFloat).contiguous();
  return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

std::string method_title(const pd::MethodOptions& method) {
  if (method.kind == pd::MethodKind::kFull) return "full attention";
  return method.kind == pd::MethodKind::kPromptDistill ? "PromptDistill" : pd::to_string(method);
}

json report(const Flags& flags,
            const ex::MethodSettings& settings,
            const pd::CausalLm& lm,
            const pd::GenerateResult& result,
            std::size_t prompt_tokens,
            const std::optional<std::string>& text,
            bool stopped_by_string,
            double load_seconds,
            std::int64_t peak_bytes) {
  json stages = json::array();
  for (const pd::StageRecord& stage : result.stages) {
    stages.push_back({{"layer", stage.layer},
                      {"budget", ex::budget_at(settings.method, stage.layer)},
                      {"kept_positions", ex::integers(stage.kept_positions)}});
    // Where every token stays nothing is scored.
    if (flags.dump_scores)
      stages.back()["scores"] = stage.scores[0].defined() ? json(floats(stage.scores[0])) : json();
  }
  json out{
      {"prompt_tokens", prompt_tokens},
      {"tokens", result.tokens},
      {"text", text ? json(*text) : json()},
      {"stop_reason", stopped_by_string ? "stop_string" : ex::name(result.stop_reason)},
      {"stages", std::move(stages)},
      {"cache_rows", result.cache_rows},
      {"timings",
       {{"load", load_seconds},
        {"prefill", result.prefill_seconds},
        {"decode", result.decode_seconds}}},
      {"memory",
       {{"weights", ex::weight_bytes(lm)}, {"cache", result.cache_bytes}, {"peak", peak_bytes}}}};
  if (flags.dump_logits) {
    out["prefill_logits"] = floats(result.prefill_logits);
    out["last_logits"] = floats(result.last_logits);
  }
  json& all = out["settings"] = ex::to_json(settings.method);
  all["model_dir"] = flags.model_dir.string();
  all["profile"] = settings.profile;
  all["chat"] = flags.chat.chat;
  all["date"] = flags.chat.date ? json(*flags.chat.date) : json();
  all["system"] = flags.system ? json(*flags.system) : json();
  all["max_new_tokens"] = flags.max_new_tokens;
  all["temperature"] = flags.sampling.options.temperature;
  all["top_k"] = flags.sampling.options.top_k;
  all["top_p"] = flags.sampling.options.top_p;
  all["seed"] = flags.sampling.options.seed;
  all["repetition_penalty"] = flags.sampling.options.repetition_penalty;
  all["stop"] = flags.stop;
  all["dtype"] = ex::dtype_name(lm.dtype());
  all["device"] = lm.device().str();
  all["threads"] = at::get_num_threads();
  all["version"] = pd::kVersion;
  return out;
}

void run(const Flags& flags) {
  flags.check();
  const pd::ModelConfig config = pd::ModelConfig::load(flags.model_dir);
  ex::MethodSettings settings = flags.method.resolve(flags.model_dir, config);

  std::optional<pd::Tokenizer> tokenizer;
  if (!flags.ids_file || std::filesystem::exists(flags.model_dir / "tokenizer.json"))
    tokenizer = pd::Tokenizer::load(flags.model_dir);
  if (flags.html_file && !tokenizer)
    throw ex::UsageError("--html needs a tokenizer.json in MODEL_DIR");
  if (!flags.stop.empty() && !tokenizer)
    throw ex::UsageError("--stop needs a tokenizer.json in MODEL_DIR");

  pd::GenerateOptions options;
  options.decode_with = ex::fastest_decode();
  options.stop_ids = pd::load_stop_ids(flags.model_dir);
  std::vector<std::int64_t> ids;
  if (flags.ids_file) {
    ids = ex::parse_ids(ex::read_text(*flags.ids_file), *flags.ids_file);
  } else {
    std::string text = flags.prompt ? *flags.prompt : ex::read_text(*flags.prompt_file);
    ex::check_utf8(text, flags.prompt                ? "--prompt"
                         : *flags.prompt_file == "-" ? "standard input"
                                                     : *flags.prompt_file);
    if (flags.system) ex::check_utf8(*flags.system, "--system");
    if (flags.chat.chat) {
      const pd::ChatFormat format = flags.chat.load(flags.model_dir);
      text = format.prompt(
          text, flags.system ? std::optional<std::string_view>(*flags.system) : std::nullopt);
      if (const auto end = tokenizer->token_to_id(format.end_of_turn()))
        options.stop_ids.insert(*end);
    }
    ids = tokenizer->encode(text, !flags.chat.chat);
  }

  if (const auto tokens = std::ssize(ids);
      settings.longest_prompt && tokens > *settings.longest_prompt) {
    fmt::print(stderr, "promptdistill-generate: {} was tried with prompts of up to {} tokens{}\n",
               settings.profile, *settings.longest_prompt,
               settings.asked ? fmt::format("; this one has {}", tokens)
                              : fmt::format(", this one has {}: full attention answers (--profile "
                                            "uses it all the same)",
                                            tokens));
    if (!settings.asked) {
      const ex::MethodSettings full;
      settings = full;
    }
  }
  ex::ProgressLine progress;
  const pd::CausalLm lm = flags.model.load(flags.model_dir);
  const double load_seconds = progress.seconds();

  ex::catch_interrupts();
  options.max_new_tokens = flags.max_new_tokens;
  options.sampling = flags.sampling.options;
  options.prefill.prefill_chunk = flags.prefill_chunk;
  options.prefill.progress = [&](const pd::PrefillProgress& at) {
    if (ex::interrupted()) throw ex::Interrupted();
    progress.show(
        fmt::format("prefill: layer {} of {}, {}{} tokens, {:.0f} s", at.layer + 1, at.layers,
                    at.chunks > 1 ? fmt::format("chunk {} of {}, ", at.chunk + 1, at.chunks) : "",
                    at.tokens, progress.seconds()));
  };
  const bool prints_text = flags.json_file != "-";
  std::optional<pd::TextStream> stream;
  if (tokenizer) stream.emplace(*tokenizer, /*skip_special_tokens=*/true);
  for (const std::string& stop : flags.stop) {
    const auto id = tokenizer->token_to_id(stop);
    if (id && tokenizer->is_special(*id)) options.stop_ids.insert(*id);
  }
  pd::StopStrings stops(flags.stop);
  std::string text;
  const auto emit = [&](const std::string& piece) {
    text += piece;
    if (prints_text) fmt::print("{}", piece);
    if (prints_text) std::fflush(stdout);
  };
  options.on_token = [&](std::int64_t token) {
    progress.clear();
    if (stream) emit(stops.push(stream->push(token)));
    return !ex::interrupted() && !stops.found();
  };
  const ex::MemoryMeter meter;
  const auto left = lm.config.context() - static_cast<std::int64_t>(ids.size());
  pd::KvCache cache = lm.make_cache(1, std::clamp<std::int64_t>(left, 0, flags.max_new_tokens));
  const pd::GenerateResult result = pd::run_method(lm, ids, settings.method, options, cache);
  if (stream) {
    emit(stops.push(stream->finish()));
    emit(stops.finish());
  }
  if (!stream && prints_text) fmt::print("{}", json(result.tokens).dump());
  if (prints_text) fmt::print("\n");

  std::string kept;
  for (const pd::StageRecord& stage : result.stages)
    kept += fmt::format(", layer {} kept {}", stage.layer, stage.kept_positions.numel());
  const double step = result.tokens.size() > 1
                          ? result.decode_seconds / static_cast<double>(result.tokens.size() - 1)
                          : 0;
  fmt::print(stderr,
             "[{} prompt tokens{}; first token {:.2f} s, {}cache {:.1f} MiB, peak {:.1f} MiB above "
             "the weights]\n",
             ids.size(), kept, result.prefill_seconds,
             step > 0 ? fmt::format("then {:.1f} tokens/s, ", 1 / step) : "",
             static_cast<double>(result.cache_bytes) / (1 << 20),
             static_cast<double>(meter.peak_bytes()) / (1 << 20));

  const json out = report(flags, settings, lm, result, ids.size(),
                          tokenizer ? std::optional(text) : std::nullopt, stops.found(),
                          load_seconds, meter.peak_bytes());
  if (flags.json_file) ex::write_output(*flags.json_file, out.dump(2) + "\n");
  if (flags.html_file) {
    ex::HtmlPage page;
    page.title = "What the model went on with";
    page.model = ex::folder_name(flags.model_dir);
    for (const std::int64_t id : ids) page.tokens.push_back(tokenizer->token_bytes(id));
    for (const pd::StageRecord& stage : result.stages)
      page.stages.push_back({stage.layer, ex::budget_at(settings.method, stage.layer),
                             ex::integers(stage.kept_positions)});
    page.facts = {{"prompt tokens", fmt::format("{}", ids.size())},
                  {"time to first token", fmt::format("{:.2f} s", result.prefill_seconds)},
                  {"cache after prefill",
                   fmt::format("{:.1f} MiB", static_cast<double>(result.cache_bytes) / (1 << 20))},
                  {"settings", out["settings"].dump()}};
    page.answers = {{method_title(settings.method), text}};
    ex::write_html(*flags.html_file, page);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Answers one prompt with a LLaMA-architecture checkpoint: in full, distilled (PromptDistill, "
      "arXiv 2503.23274) or by one of its rivals.",
      "promptdistill-generate");
  app.footer(kFooter);
  Flags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
