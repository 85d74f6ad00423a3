#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a chat format writes around a user's text and between turns.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/text.hpp"

namespace promptdistill::examples {

struct ChatFrame {
  std::string head;  // before the first text of the user
  std::string foot;  // behind a text of the user, to where the answer begins
  std::string turn;  // behind an answer, its end of turn included, to the user's next text

  /// The system's text stands before the first turn for good, where Mistral's format moves it to
  /// the last. Throws what ChatFormat::render throws.
  static ChatFrame of(const ChatFormat& format, std::optional<std::string_view> system = {}) {
    constexpr std::string_view kPlace = "\x1a";
    // The system's text is the user's own and may hold anything: the last place is the question's.
    const std::string text = format.prompt(kPlace, system);
    const std::size_t place = text.rfind(kPlace);
    std::vector<ChatMessage> messages;
    for (const char* role : {"user", "assistant", "user"})
      messages.push_back({role, std::string(kPlace)});
    const std::string turns = format.render(messages);
    const std::size_t next = turns.rfind(kPlace), answer = turns.rfind(kPlace, next - 1);
    return {text.substr(0, place), text.substr(place + 1),
            turns.substr(answer + 1, next - answer - 1)};
  }

  /// Without a chat format: the user's texts and the answers stand in paragraphs of their own.
  static ChatFrame plain() { return {"", "\n\n", "\n\n"}; }
};

}  // namespace promptdistill::examples
