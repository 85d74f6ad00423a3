// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-ask: reads a document once and answers any number of questions about it.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "examples/ask/conversation.hpp"
#include "examples/ask/flags.hpp"
#include "examples/ask/line_prompt.hpp"
#include "examples/common/answers.hpp"
#include "examples/common/chat_flags.hpp"
#include "examples/common/chat_frame.hpp"
#include "examples/common/decode_with.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/table.hpp"
#include "examples/common/write_file.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/text.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;
using nlohmann::json;

constexpr double kMiB = 1 << 20;

constexpr const char* kFooter = R"(Examples:
  promptdistill-ask MODEL_DIR --document report.txt --stages 14:512
  promptdistill-ask MODEL_DIR --document report.txt --profile P.json --state report.state 'Who wrote it?' 'And when?'
  promptdistill-ask MODEL_DIR --state report.state --profile P.json --questions questions.txt --json answers.json

Without a question it asks for them: a prompt with line editing and history, or one a line where input is no terminal.
There, Ctrl-C stops an answer, Ctrl-D or /quit ends the program, /help names the other commands.
The document is read once, to the first stage's layer; --state keeps that on disk, and is read instead where it exists.
Exit codes: 0 answered, 1 failure, 2 bad usage, 130 stopped by Ctrl-C (what was answered so far is kept).)";

constexpr const char* kHelp =
    R"(  /kept              what the last answer was based on: of all before the question, what the last stage kept
  /stats             times and memory of the answers so far
  /save [FILE]       save what was read of the document (default: --state)
  /turns MODE        fresh, select or append: what a question knows of those before it
  /new               forget the conversation
  /quit              or Ctrl-D
)";

/// The text at some positions of a prompt, " ... " where it leaves something out.
std::string excerpts(const pd::Tokenizer& tokenizer,
                     const std::vector<std::int64_t>& ids,
                     const std::vector<std::int64_t>& positions) {
  std::string text;
  std::vector<std::int64_t> run;
  std::int64_t next = 0;
  const auto flush = [&] {
    if (!run.empty()) text += tokenizer.decode(run, /*skip_special_tokens=*/true);
    run.clear();
  };
  for (const std::int64_t position : positions) {
    if (position >= std::ssize(ids)) break;
    if (position != next) {
      flush();
      text += " ... ";
    }
    run.push_back(ids[static_cast<std::size_t>(position)]);
    next = position + 1;
  }
  flush();
  return text;
}

/// At most 40 bytes, whole characters.
std::string beginning(const std::string& text) {
  std::size_t end = std::min<std::size_t>(text.size(), 40);
  while (end < text.size() && end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

class Program {
 public:
  explicit Program(const ex::AskFlags& flags)
      : flags_(flags), tokenizer_(pd::Tokenizer::load(flags.model_dir)) {
    settings_ = flags.distill.resolve(flags.model_dir);
    if (settings_.options.stages.empty())
      throw ex::UsageError(
          "--stages or --profile must say where to select; promptdistill-calibrate finds out");
    // All that can be wrong with the questions is told before the document is read.
    questions_ = flags.questions;
    if (flags.questions_file) questions_ = lines_of(*flags.questions_file);
    talks_ = questions_.empty() && !flags.questions_file && ::isatty(STDIN_FILENO) != 0;
    if (questions_.empty() && !flags.questions_file && !talks_) questions_ = lines_of("-");
    for (const std::string& question : questions_) ex::check_utf8(question, "the question");
    options_.stop_ids = pd::load_stop_ids(flags.model_dir);
    frame_ = ex::ChatFrame::plain();
    if (!flags.no_chat) {
      ex::ChatFlags chat{true, flags.date};
      const pd::ChatFormat format = chat.load(flags.model_dir);
      if (flags.system) ex::check_utf8(*flags.system, "--system");
      frame_ = ex::ChatFrame::of(
          format, flags.system ? std::optional<std::string_view>(*flags.system) : std::nullopt);
      if (const auto end = tokenizer_.token_to_id(format.end_of_turn()))
        options_.stop_ids.insert(*end);
    }
    std::optional<ex::Ids> ids;
    if (flags.document) {
      const std::string text = ex::read_text(*flags.document);
      ex::check_utf8(text, *flags.document == "-" ? "standard input" : *flags.document);
      ids = tokenizer_.encode(frame_.head + text, flags.no_chat);
    }
    lm_.emplace(flags.model.load(flags.model_dir));
    fingerprint_ = pd::fingerprint(flags.model_dir);
    options_.decode_with = ex::fastest_decode();
    options_.max_new_tokens = flags.max_new_tokens;
    options_.sampling = flags.sampling.options;
    options_.on_token = [](std::int64_t) { return !ex::interrupted(); };
    open_document(ids);
  }

  void run() {
    if (talks_) {
      talk();
    } else {
      for (const std::string& question : questions_) {
        if (questions_.size() > 1) fmt::print("> {}\n", question);
        try {
          ask(question);
        } catch (...) {
          write_json();  // what was answered so far
          throw;
        }
        if (ex::interrupted()) break;
      }
    }
    write_json();
  }

 private:
  static std::vector<std::string> lines_of(const std::string& file) {
    std::istringstream in(ex::read_text(file));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.find_first_not_of(" \t") != std::string::npos) lines.push_back(line);
    }
    return lines;
  }

  void open_document(const std::optional<ex::Ids>& ids) {
    pd::PrefillOptions reading;
    reading.placement = settings_.placement;
    reading.prefill_chunk = flags_.prefill_chunk;
    const pd::AnyDistiller policy = pd::make_distiller(settings_.options);
    policy.check(lm_->layers(), lm_->config.num_attention_heads);
    const std::int64_t layer = pd::first_stage(policy, lm_->layers());
    ex::ProgressLine progress;
    std::optional<pd::Document> document;
    if (flags_.state && std::filesystem::exists(*flags_.state)) {
      document = pd::Document::load(*lm_, *flags_.state, fingerprint_);
      if (ids && ex::integers(document->ids()) != *ids)
        throw pd::LoadError(*flags_.state, "the file",
                            "holds another document than --document: remove it or name another");
      if (document->layer() > layer)
        throw ex::UsageError(fmt::format(
            "--state {} was read to layer {}, behind the first stage at layer {}: read it again",
            *flags_.state, document->layer(), layer));
      const std::int64_t context = lm_->config.context();
      if (flags_.room && std::min(document->tokens() + std::min(*flags_.room, context), context) >
                             document->max_total_tokens())
        throw ex::UsageError(fmt::format(
            "--state {} was read for {} tokens after the document, --room asks for {}: read it "
            "again, or leave --room out",
            *flags_.state, document->max_total_tokens() - document->tokens(), *flags_.room));
      loaded_ = true;
    } else {
      const std::int64_t context = lm_->config.context(),
                         room = std::min(flags_.room.value_or(ex::AskFlags::kRoom), context),
                         total = std::min(std::ssize(*ids) + room, context);
      if (total - std::ssize(*ids) <= flags_.max_new_tokens)
        throw ex::UsageError(fmt::format(
            "a document of {} tokens leaves no room for a question and --max-new-tokens {} in the "
            "model's context of {}",
            ids->size(), flags_.max_new_tokens, lm_->config.context()));
      warn_of_length(std::ssize(*ids));
      ex::catch_interrupts();
      pd::PrefillOptions watched = reading;
      watched.progress = [&](const pd::PrefillProgress& at) {
        if (ex::interrupted()) throw ex::Interrupted();
        progress.show(fmt::format("reading {} tokens: layer {} of {}, {:.0f} s", ids->size(),
                                  at.layer + 1, layer + 1, progress.seconds()));
      };
      document = pd::Document::read(*lm_, at::tensor(*ids, at::kLong), layer, total, watched);
    }
    if (document->max_total_tokens() - document->tokens() <= flags_.max_new_tokens)
      throw ex::UsageError(fmt::format(
          "--state {} was read for {} tokens after the document, which leave no room for "
          "a question and --max-new-tokens {}",
          *flags_.state, document->max_total_tokens() - document->tokens(), flags_.max_new_tokens));
    if (flags_.int8) document->to_int8();
    open_seconds_ = progress.seconds();
    progress.clear();
    if (flags_.state && !loaded_) document->save(*flags_.state, fingerprint_);
    fmt::print(stderr, "[{} {} tokens to layer {} in {:.2f} s; {:.1f} MiB]\n",
               loaded_ ? "loaded" : "read", document->tokens(), document->layer(), open_seconds_,
               static_cast<double>(document->bytes()) / kMiB);
    conversation_.emplace(tokenizer_, frame_, std::move(*document), policy, reading,
                          ex::kTurns.at(flags_.turns));
  }

  void warn_of_length(std::int64_t tokens) const {
    if (settings_.longest_prompt && tokens > *settings_.longest_prompt)
      fmt::print(stderr,
                 "promptdistill-ask: {} was tried with prompts of up to {} tokens; this one has "
                 "{}\n",
                 settings_.profile, *settings_.longest_prompt, tokens);
  }

  void ask(const std::string& question) {
    ex::catch_interrupts();
    answers_.push_back(conversation_->ask(question, options_, [](const std::string& piece) {
      fmt::print("{}", piece);
      std::fflush(stdout);
    }));
    const ex::Answer& answer = answers_.back();
    std::string kept;
    for (const pd::StageRecord& stage : answer.result.stages)
      kept += fmt::format("layer {} kept {}, ", stage.layer, stage.kept_positions.numel());
    const auto steps = static_cast<double>(answer.result.tokens.size() - 1);
    fmt::print("{}\n", ex::interrupted() ? " [stopped]" : "");
    std::fflush(stdout);
    fmt::print(stderr, "[{}first token {:.3f} s, {}{:.1f} MiB of its own]\n", kept,
               answer.result.prefill_seconds,
               steps > 0
                   ? fmt::format("then {:.1f} tokens/s, ", steps / answer.result.decode_seconds)
                   : "",
               static_cast<double>(answer.own_cache_bytes) / kMiB);
  }

  // ---- the prompt ----

  void talk() {
    fmt::print("Ask about the document; /help names the commands.\n");
    ex::LinePrompt prompt("> ");
    while (const std::optional<std::string> line = prompt.next()) {
      try {
        if (line->front() != '/') {
          ex::check_utf8(*line, "the question");
          ask(*line);
        } else if (!command(*line)) {
          break;
        }
      } catch (const c10::Error& error) {
        fmt::print(stderr, "{}\n", error.what_without_backtrace());
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
      }
    }
    fmt::print("\n");
  }

  /// False where it ends the program.
  bool command(const std::string& line) {
    std::istringstream words(line);
    std::string name, argument;
    words >> name;
    std::getline(words >> std::ws, argument);
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/kept") {
      show_kept();
    } else if (name == "/stats") {
      show_stats();
    } else if (name == "/save") {
      const std::string file = argument.empty() ? flags_.state.value_or("") : argument;
      if (file.empty()) throw ex::UsageError("/save needs a file, or --state");
      conversation_->document().save(file, fingerprint_);
      fmt::print("saved to {}\n", file);
    } else if (name == "/turns") {
      const auto mode = ex::kTurns.find(argument);
      if (mode == ex::kTurns.end()) throw ex::UsageError("/turns takes fresh, select or append");
      conversation_->set_turns(mode->second);
    } else if (name == "/new") {
      conversation_->forget();
    } else {
      fmt::print("{}{}", name == "/help" ? "" : "no such command: " + name + "\n", kHelp);
    }
    return true;
  }

  void show_kept() const {
    if (answers_.empty() || answers_.back().result.stages.empty()) {
      fmt::print("{}\n", answers_.empty() ? "nothing was asked yet"
                                          : "this turn went on from what the first one kept");
      return;
    }
    const std::vector<std::int64_t> ids = ex::integers(conversation_->asked_ids());
    for (const pd::StageRecord& stage : answers_.back().result.stages)
      fmt::print("layer {}: {} tokens\n", stage.layer, stage.kept_positions.numel());
    fmt::print("{}\n", excerpts(tokenizer_, ids,
                                ex::integers(answers_.back().result.stages.back().kept_positions)));
  }

  void show_stats() const {
    ex::Table table({"question", "tokens", "first token", "decode", "own cache"});
    for (const ex::Answer& answer : answers_) {
      const auto steps = static_cast<double>(answer.result.tokens.size() - 1);
      table.add({beginning(answer.question), fmt::format("{}", answer.question_tokens),
                 fmt::format("{:.3f} s", answer.result.prefill_seconds),
                 steps > 0 ? fmt::format("{:.1f} tok/s", steps / answer.result.decode_seconds) : "",
                 fmt::format("{:.1f} MiB", static_cast<double>(answer.own_cache_bytes) / kMiB)});
    }
    const pd::Document& document = conversation_->document();
    fmt::print("document: {} tokens, {:.1f} MiB, {} in {:.2f} s\n{}", document.tokens(),
               static_cast<double>(document.bytes()) / kMiB, loaded_ ? "loaded" : "read",
               open_seconds_, table.text());
  }

  void write_json() const {
    if (!flags_.json_file) return;
    json answers = json::array();
    for (const ex::Answer& answer : answers_) {
      json stages = json::array();
      for (const pd::StageRecord& stage : answer.result.stages)
        stages.push_back(
            {{"layer", stage.layer}, {"kept_positions", ex::integers(stage.kept_positions)}});
      answers.push_back(
          {{"question", answer.question},
           {"question_tokens", answer.question_tokens},
           {"text", answer.text},
           {"tokens", answer.result.tokens},
           {"stop_reason", ex::name(answer.result.stop_reason)},
           {"stages", std::move(stages)},
           {"timings",
            {{"prefill", answer.result.prefill_seconds}, {"decode", answer.result.decode_seconds}}},
           {"cache_bytes", answer.result.cache_bytes},
           {"own_cache_bytes", answer.own_cache_bytes}});
    }
    const pd::Document& document = conversation_->document();
    json settings = ex::to_json(settings_.options);
    settings["model_dir"] = flags_.model_dir.string();
    settings["profile"] = settings_.profile;
    for (const auto& [name, turns] : ex::kTurns)
      if (turns == conversation_->turns()) settings["turns"] = name;
    settings["max_new_tokens"] = flags_.max_new_tokens;
    settings["dtype"] = ex::dtype_name(lm_->dtype());
    settings["device"] = lm_->device().str();
    settings["threads"] = at::get_num_threads();
    settings["version"] = pd::kVersion;
    const json out{{"document",
                    {{"tokens", document.tokens()},
                     {"layer", document.layer()},
                     {"max_total_tokens", document.max_total_tokens()},
                     {"bytes", document.bytes()},
                     {"int8", document.is_int8()},
                     {loaded_ ? "load_seconds" : "read_seconds", open_seconds_}}},
                   {"settings", std::move(settings)},
                   {"answers", std::move(answers)}};
    ex::write_output(*flags_.json_file, out.dump(2) + "\n");
  }

  const ex::AskFlags& flags_;
  pd::Tokenizer tokenizer_;
  ex::DistillSettings settings_;
  pd::GenerateOptions options_;
  ex::ChatFrame frame_;
  std::string fingerprint_;
  std::optional<pd::CausalLm> lm_;
  std::optional<ex::Conversation> conversation_;
  std::vector<ex::Answer> answers_;
  std::vector<std::string> questions_;
  bool talks_ = false;  // at the prompt
  double open_seconds_ = 0;
  bool loaded_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Reads a document once and answers any number of questions about it, distilled.",
               "promptdistill-ask");
  app.footer(kFooter);
  ex::AskFlags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] {
    flags.check();
    Program(flags).run();
  });
}
