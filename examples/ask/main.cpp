// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-ask: reads a document once and answers any number of questions about it.

#include <fmt/format.h>
// libedit's header lacks what it needs itself.
#include <cstdio>
// clang-format off
#include <editline/readline.h>
// clang-format on

#include <langinfo.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "examples/ask/conversation.hpp"
#include "examples/common/answers.hpp"
#include "examples/common/chat_flags.hpp"
#include "examples/common/decode_with.hpp"
#include "examples/common/distill_flags.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/sampling_flags.hpp"
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
    R"(  /kept              what the last answer was based on: of the document, what the last stage kept
  /stats             times and memory of the answers so far
  /save [FILE]       save what was read of the document (default: --state)
  /turns MODE        fresh, select or append: what a question knows of those before it
  /new               forget the conversation
  /quit              or Ctrl-D
)";

const std::map<std::string, ex::Turns> kTurns{
    {"fresh", ex::Turns::kFresh}, {"select", ex::Turns::kSelect}, {"append", ex::Turns::kAppend}};

struct Flags {
  std::filesystem::path model_dir;
  std::optional<std::string> document, state, questions_file, system, json_file;
  std::vector<std::string> questions;
  bool no_chat = false, int8 = false;
  std::optional<std::string> date;
  std::string turns = "fresh";
  std::int64_t room = 2048, max_new_tokens = 256;
  ex::SamplingFlags sampling;
  ex::DistillFlags distill;
  ex::ModelFlags model;
  std::optional<std::int64_t> prefill_chunk;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir,
                   "a Hugging Face folder: config.json, model.safetensors, tokenizer.json")
        ->required()
        ->option_text("MODEL_DIR");
    app.add_option("question", questions, "questions, one after the other (default: asks for them)")
        ->option_text("QUESTION ...");
    const char* input = "Document";
    app.add_option("--document", document, "a text file; - reads standard input")->group(input);
    app.add_option("--state", state,
                   "what was read of a document: used where the file exists, else written")
        ->group(input);
    app.add_flag("--int8", int8,
                 "keep what was read of the document in int8: about half the memory; other tokens "
                 "may be kept")
        ->group(input);
    app.add_option("--room", room,
                   "tokens that may follow the document: questions, answers, turns of a "
                   "conversation. Where RoPE depends on the length it is chosen for all of them")
        ->check(ex::at_least(2))
        ->capture_default_str()
        ->group(input);
    app.add_option("--questions", questions_file,
                   "a file of one question a line; - is standard input")
        ->group("Questions");
    app.add_option("--turns", turns,
                   "what a question knows of those before it. fresh: nothing; select: all that was "
                   "said, and it selects anew; append: all that was said, and of the document what "
                   "the first question kept")
        ->check(CLI::IsMember({"fresh", "select", "append"}))
        ->capture_default_str()
        ->group("Questions");
    app.add_option("--system", system, "the system's turn (default: the chat format's own)")
        ->group("Questions");
    app.add_flag("--no-chat", no_chat,
                 "leave out the checkpoint's chat format: document and question as they are")
        ->group("Questions");
    app.add_option("--date", date, "today's date for a chat format that names it")
        ->group("Questions");
    const char* answer = "Answer";
    app.add_option("--max-new-tokens", max_new_tokens, "an answer's length at most")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(answer);
    sampling.add_to(app, answer);
    distill.add_to(app);
    model.add_to(app);
    ex::add_prefill_chunk(app, prefill_chunk);
    app.add_option("--json", json_file, "write document, settings and answers as JSON")
        ->group("Output");
  }

  void check() const {
    if (json_file) ex::check_writable(*json_file);
    if (!document && !state) throw ex::UsageError("--document or --state must say what to ask");
    if (!document && !std::filesystem::exists(*state))
      throw ex::UsageError("--state " + *state + " is not there yet: give --document to write it");
    if (state && !std::filesystem::exists(*state)) ex::check_writable(*state);
    if (questions_file && !questions.empty())
      throw ex::UsageError("--questions or questions on the command line, not both");
    if (document == "-" && (questions_file == "-" || (questions.empty() && !questions_file)))
      throw ex::UsageError("standard input cannot be both the document and the questions");
    if ((system || date) && no_chat)
      throw ex::UsageError("--system and --date do not go with --no-chat");
    if (max_new_tokens >= room)
      throw ex::UsageError(
          fmt::format("--room {} must hold a question and the {} tokens of --max-new-tokens", room,
                      max_new_tokens));
    sampling.check();
  }
};

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
  explicit Program(const Flags& flags)
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
      loaded_ = true;
    } else {
      const std::int64_t total = std::min(std::ssize(*ids) + flags_.room, lm_->config.context());
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
    if (flags_.int8) document->to_int8();
    open_seconds_ = progress.seconds();
    progress.clear();
    if (flags_.state && !loaded_) document->save(*flags_.state, fingerprint_);
    fmt::print(stderr, "[{} {} tokens to layer {} in {:.2f} s; {:.1f} MiB]\n",
               loaded_ ? "loaded" : "read", document->tokens(), document->layer(), open_seconds_,
               static_cast<double>(document->bytes()) / kMiB);
    conversation_.emplace(tokenizer_, frame_, std::move(*document), policy, reading,
                          kTurns.at(flags_.turns));
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
    ::rl_catch_signals = 0;
    // libedit reads characters by the locale, and drops what that does not have.
    std::setlocale(LC_CTYPE, "");
    if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
    fmt::print("Ask about the document; /help names the commands.\n");
    for (;;) {
      std::fflush(stdout);
      std::signal(SIGINT, SIG_IGN);  // there is no answer to stop
      ex::forget_interrupt();
      char* const typed = ::readline("> ");
      if (typed == nullptr) break;
      const std::string line = typed;
      std::free(typed);
      const std::size_t first = line.find_first_not_of(" \t");
      if (first == std::string::npos) continue;
      ::add_history(line.c_str());
      try {
        if (line[first] != '/') {
          ex::check_utf8(line, "the question");
          ask(line);
        } else if (!command(line.substr(first))) {
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
      const auto mode = kTurns.find(argument);
      if (mode == kTurns.end()) throw ex::UsageError("/turns takes fresh, select or append");
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
    const std::vector<std::int64_t> ids = ex::integers(conversation_->document().ids());
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
    for (const auto& [name, turns] : kTurns)
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

  const Flags& flags_;
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
  Flags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] {
    flags.check();
    Program(flags).run();
  });
}
