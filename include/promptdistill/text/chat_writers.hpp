#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What each known family of chat templates writes, as their Jinja would without tools.

#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "promptdistill/text/chat_message.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

inline void require_messages(std::span<const ChatMessage> messages) {
  if (messages.empty())
    throw std::invalid_argument(
        "promptdistill: a conversation must have at least one message, got none");
}

/// Refuses what a template takes for a tool's result or leaves out.
inline void require_plain_roles(std::span<const ChatMessage> messages) {
  for (const ChatMessage& message : messages) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      throw std::invalid_argument(
          "promptdistill: a message's role must be system, user or assistant, got " + message.role);
    }
  }
}

/// Without white space at both ends, as Jinja's trim: Python's str.strip.
inline std::string_view trimmed(std::string_view text) {
  const auto is_space = [](std::string_view rest) {
    const Utf8Step step = utf8_step(rest);
    return step.kind == Utf8Step::Kind::kWhole && step.length == rest.size() &&
           (is_white_space(step.code_point) ||
            (step.code_point >= 0x1C && step.code_point <= 0x1F));
  };
  const auto length = [](std::string_view rest) { return utf8_step(rest).length; };
  while (!text.empty() && is_space(text.substr(0, length(text)))) text.remove_prefix(length(text));
  for (std::size_t size = 1; size <= 3 && size <= text.size();) {
    const bool space = is_space(text.substr(text.size() - size));
    if (space) text.remove_suffix(size);
    size = space ? 1 : size + 1;
  }
  return text;
}

/// SmolLM2, Qwen2, Qwen2.5 and many others.
struct ChatMlWriter {
  static constexpr std::string_view kName = "ChatML";
  std::optional<std::string> default_system;
  bool knows_tools;  // reads the first message, which must be there, and has a role for tools

  void write(std::span<const ChatMessage> messages,
             bool add_generation_prompt,
             std::string& out) const {
    if (knows_tools) {
      require_messages(messages);
      require_plain_roles(messages);
    }
    if (default_system && !messages.empty() && messages.front().role != "system")
      append("system", *default_system, out);
    for (const ChatMessage& message : messages) append(message.role, message.content, out);
    if (add_generation_prompt) out += "<|im_start|>assistant\n";
  }

  std::string end_of_turn() const { return "<|im_end|>"; }

 private:
  static void append(std::string_view role, std::string_view content, std::string& out) {
    out.append("<|im_start|>").append(role).append("\n").append(content).append("<|im_end|>\n");
  }
};

/// Llama 3 and, with the system header that names two dates, 3.1 to 3.3.
struct LlamaWriter {
  static constexpr std::string_view kName = "Llama 3";
  std::string bos;
  std::optional<std::string> date;  // of today, as the header gives it; without: no such header

  void write(std::span<const ChatMessage> messages,
             bool add_generation_prompt,
             std::string& out) const {
    require_plain_roles(messages);
    if (date) {
      require_messages(messages);
      const bool has_system = messages.front().role == "system";
      const std::string dates =
          "Cutting Knowledge Date: December 2023\nToday Date: " + *date + "\n\n";
      out += bos;
      append("system", dates, has_system ? messages.front().content : "", out);
      if (has_system) messages = messages.subspan(1);
    } else if (!messages.empty()) {
      out += bos;
    }
    for (const ChatMessage& message : messages) append(message.role, "", message.content, out);
    if (add_generation_prompt) out += "<|start_header_id|>assistant<|end_header_id|>\n\n";
  }

  std::string end_of_turn() const { return "<|eot_id|>"; }

 private:
  static void append(std::string_view role,
                     std::string_view before,
                     std::string_view content,
                     std::string& out) {
    out.append("<|start_header_id|>").append(role).append("<|end_header_id|>\n\n");
    out.append(before).append(trimmed(content)).append("<|eot_id|>");
  }
};

/// Phi-3, Phi-3.5 and Phi-4-mini.
struct PhiWriter {
  static constexpr std::string_view kName = "Phi-3";
  std::string eos;
  std::string line_end;     // after a role and after a message
  bool drops_empty_system;  // a system message without content is not written

  void write(std::span<const ChatMessage> messages,
             bool add_generation_prompt,
             std::string& out) const {
    require_plain_roles(messages);
    for (const ChatMessage& message : messages) {
      if (drops_empty_system && message.role == "system" && message.content.empty()) continue;
      out.append("<|").append(message.role).append("|>").append(line_end);
      out.append(message.content).append("<|end|>").append(line_end);
    }
    out += add_generation_prompt ? "<|assistant|>" + line_end : eos;
  }

  std::string end_of_turn() const { return "<|end|>"; }
};

/// Mistral and Mixtral, up to Mistral Nemo. A generation prompt is not written: the answer follows
/// the user's turn.
struct MistralWriter {
  /// Which turn the system message begins; where that is not a user's it is not written.
  enum class System { kNone, kFirstTurn, kLastTurn };
  static constexpr std::string_view kName = "Mistral";
  std::string bos, eos;
  std::string before_user, after_user, before_answer;
  bool trims_answer;
  System system;

  void write(std::span<const ChatMessage> messages, bool, std::string& out) const {
    std::string_view system_message;
    bool has_system = false;
    if (system != System::kNone) {
      require_messages(messages);
      has_system = messages.front().role == "system";
    }
    if (has_system) {
      system_message = messages.front().content;
      messages = messages.subspan(1);
    }
    require_turns(messages);
    out += bos;
    const std::size_t place = system == System::kFirstTurn ? 0 : messages.size() - 1;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string_view content = messages[i].content;
      if (messages[i].role == "user") {
        out += before_user;
        if (has_system && i == place) out.append(system_message).append("\n\n");
        out.append(content).append(after_user);
      } else {
        out.append(before_answer).append(trims_answer ? trimmed(content) : content);
        out += eos;
      }
    }
  }

  std::string end_of_turn() const { return eos; }

 private:
  void require_turns(std::span<const ChatMessage> messages) const {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string expected = i % 2 == 0 ? "user" : "assistant";
      if (messages[i].role == expected) continue;
      throw std::invalid_argument(
          "promptdistill: this chat format's turns must alternate, user first" +
          std::string(system == System::kNone ? " and without a system message"
                                              : " after an optional system message") +
          ", got " + messages[i].role + " where " + expected + " must be");
    }
  }
};

}  // namespace promptdistill::detail
