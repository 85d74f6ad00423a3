// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-tokenize: text to token ids and back, as JSON on standard input and output.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/common/chat_flags.hpp"
#include "examples/common/ids.hpp"
#include "examples/common/program.hpp"
#include "promptdistill/text.hpp"

namespace {

namespace pd = promptdistill;
namespace ex = promptdistill::examples;

struct Flags {
  std::filesystem::path model_dir;
  bool decode = false, no_special_tokens = false;
  ex::ChatFlags chat;
  std::int64_t time_runs = 0;
};

/// The seconds that each of `runs` encodings of `text` takes.
std::vector<double> encoding_seconds(const pd::Tokenizer& tokenizer,
                                     const std::string& text,
                                     std::int64_t runs) {
  std::vector<double> seconds;
  for (std::int64_t run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    tokenizer.encode(text);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return seconds;
}

void run(const Flags& flags) {
  flags.chat.check();
  if (flags.decode && flags.chat.chat)
    throw ex::UsageError("--chat wraps text, --decode reads ids: give one of them");
  if (flags.decode && flags.time_runs > 0)
    throw ex::UsageError("--time times encoding, --decode reads ids: give one of them");
  const pd::Tokenizer tokenizer = pd::Tokenizer::load(flags.model_dir);
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  if (!flags.decode) ex::check_utf8(input, "standard input");
  nlohmann::json out;
  if (flags.decode) {
    out = tokenizer.decode(ex::parse_ids(input, "standard input"), flags.no_special_tokens);
  } else if (flags.chat.chat) {
    out = tokenizer.encode(flags.chat.load(flags.model_dir).prompt(input), false);
  } else {
    out = tokenizer.encode(input, !flags.no_special_tokens);
  }
  if (flags.time_runs > 0) {
    out = {{"tokens", out.size()},
           {"seconds", encoding_seconds(tokenizer, input, flags.time_runs)}};
  }
  std::cout << out.dump() << '\n' << std::flush;
  if (!std::cout) throw std::runtime_error("cannot write to standard output");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Reads text on standard input and writes its token ids as a JSON array, or the other way "
      "round as a JSON string.",
      "promptdistill-tokenize");
  app.footer(
      "Examples:\n  echo -n 'Hello, world' | promptdistill-tokenize MODEL_DIR\n  echo '[19556, "
      "28]' | promptdistill-tokenize MODEL_DIR --decode");
  Flags flags;
  app.add_option("model_dir", flags.model_dir, "a folder with tokenizer.json")
      ->required()
      ->option_text("MODEL_DIR");
  app.add_flag("--decode", flags.decode, "read a JSON array of ids and write their text");
  flags.chat.add_to(app);
  app.add_flag("--no-special-tokens", flags.no_special_tokens,
               "encoding: add none around the text; decoding: leave them out");
  app.add_option("--time", flags.time_runs,
                 "encode the text N times more and write the seconds of each instead of the ids")
      ->check(CLI::Range(1, 1'000'000))
      ->option_text("N");
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
