#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-ask's command line.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "examples/ask/conversation.hpp"
#include "examples/common/chat_flags.hpp"
#include "examples/common/distill_flags.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "examples/common/sampling_flags.hpp"
#include "examples/common/write_file.hpp"

namespace promptdistill::examples {

inline const std::map<std::string, Turns> kTurns{
    {"fresh", Turns::kFresh}, {"select", Turns::kSelect}, {"append", Turns::kAppend}};

struct AskFlags {
  std::filesystem::path model_dir;
  std::optional<std::string> document, state, questions_file, system, json_file;
  std::vector<std::string> questions;
  bool no_chat = false, int8 = false;
  std::optional<std::string> date;
  std::string turns = "fresh";
  static constexpr std::int64_t kRoom = 2048;
  std::optional<std::int64_t> room;
  std::int64_t max_new_tokens = 256;
  SamplingFlags sampling;
  DistillFlags distill;
  ModelFlags model;
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
                   "conversation. Where RoPE depends on the length it is chosen for all of them. "
                   "(default " +
                       std::to_string(kRoom) + "; a --state has its own)")
        ->check(at_least(2))
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
        ->check(at_least(1))
        ->capture_default_str()
        ->group(answer);
    sampling.add_to(app, answer);
    distill.add_to(app);
    model.add_to(app);
    add_prefill_chunk(app, prefill_chunk);
    app.add_option("--json", json_file, "write document, settings and answers as JSON")
        ->group("Output");
  }

  void check() const {
    if (json_file) check_writable(*json_file);
    if (!document && !state) throw UsageError("--document or --state must say what to ask");
    const bool loads = state && std::filesystem::exists(*state);
    if (!document && !loads)
      throw UsageError("--state " + *state + " is not there yet: give --document to write it");
    if (state && !loads) check_writable(*state);
    if (questions_file && !questions.empty())
      throw UsageError("--questions or questions on the command line, not both");
    if (document == "-" && (questions_file == "-" || (questions.empty() && !questions_file)))
      throw UsageError("standard input cannot be both the document and the questions");
    if ((system || date) && no_chat)
      throw UsageError("--system and --date do not go with --no-chat");
    if (!loads && max_new_tokens >= room.value_or(kRoom))
      throw UsageError(
          fmt::format("--room {} must hold a question and the {} tokens of --max-new-tokens",
                      room.value_or(kRoom), max_new_tokens));
    sampling.check();
  }
};

}  // namespace promptdistill::examples
