// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/text/chat_format.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

void check(const ChatFormat& format) {
  const std::vector<ChatMessage> turns{{"user", "u1"}, {"assistant", "a1"}, {"user", "u2"}};
  const std::string text = format.render(turns);
  std::size_t at = 0;
  for (const ChatMessage& turn : turns) {
    at = text.find(turn.content, at);
    require(at != text.npos, "a conversation holds its turns in order");
  }
  try {
    const std::string prompt = format.prompt("u1", "s1");
    require(prompt.find("s1") != prompt.npos, "a prompt holds its system message");
  } catch (const std::invalid_argument&) {
    require(format.name() == "Mistral", "only Mistral's first template refuses a system message");
  }
}

}  // namespace

void fuzz_chat(std::string_view input) {
  static const TempDir jinja, config;
  jinja.write("chat_template.jinja", std::string(input));
  loads(jinja.path(), [] { check(ChatFormat::load(jinja.path())); });
  config.write("tokenizer_config.json", std::string(input));
  loads(config.path(), [] { check(ChatFormat::load(config.path())); });
}

}  // namespace promptdistill::test
