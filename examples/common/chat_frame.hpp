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

  /// Throws what ChatFormat::render throws.
  static ChatFrame of(const ChatFormat& format, std::optional<std::string_view> system = {}) {
    constexpr std::string_view kPlace = "\x1a";
    std::vector<ChatMessage> messages;
    if (system) messages.push_back({"system", std::string(*system)});
    for (const char* role : {"user", "assistant", "user"})
      messages.push_back({role, std::string(kPlace)});
    const std::string text = format.render(messages);
    const std::size_t first = text.find(kPlace), answer = text.find(kPlace, first + 1),
                      next = text.find(kPlace, answer + 1);
    return {text.substr(0, first), text.substr(next + 1),
            text.substr(answer + 1, next - answer - 1)};
  }

  /// Without a chat format: the user's texts and the answers stand in paragraphs of their own.
  static ChatFrame plain() { return {"", "\n\n", "\n\n"}; }
};

}  // namespace promptdistill::examples
