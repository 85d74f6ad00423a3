#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The chat format a checkpoint was trained with, recognised from its own template.

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/template_lexer.hpp"

namespace promptdistill {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

/// ChatML: <|im_start|>role, a line end, the content, <|im_end|>, a line end. An immutable value.
///
/// No template is run. A template is recognised if it writes what one of the known ones writes; any
/// other is refused.
class ChatFormat {
 public:
  /// Reads the template from folder/chat_template.jinja if there, else from chat_template in
  /// folder/tokenizer_config.json (of several named ones, "default"). Throws LoadError where there
  /// is none or it is not a known one.
  static ChatFormat load(const std::filesystem::path& folder) {
    const std::filesystem::path jinja = folder / "chat_template.jinja",
                                config = folder / "tokenizer_config.json";
    std::error_code error;
    if (std::filesystem::exists(jinja, error))
      return recognise(detail::read_text_file(jinja), jinja);
    const nlohmann::json json = detail::read_json(config);
    const auto node = detail::JsonNode(config, "", json).find("chat_template");
    if (!node || node->value().is_null()) {
      throw LoadError(config, "chat_template",
                      "is missing: this checkpoint defines no chat format");
    }
    return recognise(node->value().is_array() ? default_template(*node) : node->string(), config);
  }

  /// What transformers' apply_chat_template makes of it. Contents are taken as they are: markers in
  /// them are not escaped.
  std::string render(std::span<const ChatMessage> messages,
                     bool add_generation_prompt = true) const {
    std::string text;
    if (default_system_ && !messages.empty() && messages.front().role != "system")
      append("system", *default_system_, text);
    for (const ChatMessage& message : messages) append(message.role, message.content, text);
    if (add_generation_prompt) text += "<|im_start|>assistant\n";
    return text;
  }

  /// One question, up to where the answer begins; without `system` the template's own default is
  /// used, if it has one.
  std::string prompt(std::string_view user, std::optional<std::string_view> system = {}) const {
    std::vector<ChatMessage> messages;
    if (system) messages.push_back({"system", std::string(*system)});
    messages.push_back({"user", std::string(user)});
    return render(messages);
  }

  /// The token that ends a message.
  std::string end_of_turn() const { return "<|im_end|>"; }

  /// The system message that the template puts before a conversation without one.
  const std::optional<std::string>& default_system() const { return default_system_; }

 private:
  using Tokens = std::vector<detail::TemplateToken>;
  static constexpr char kHole = '\x01';  // stands for the default system message in the forms below

  static std::string default_template(const detail::JsonNode& list) {
    for (std::size_t i = 0; i < list.value().size(); ++i) {
      const detail::JsonNode entry = list.element(i);
      if (entry.at("name").string() == "default") return entry.at("template").string();
    }
    list.fail("must have a template named \"default\"");
  }

  static ChatFormat recognise(std::string_view source, const std::filesystem::path& file) {
    static constexpr std::string_view kDefine =
        "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% "
        "endif %}";
    static constexpr std::string_view kDefault =
        "{% if loop.first and messages[0].role != 'system' "
        "%}<|im_start|>system\n\x01<|im_end|>\n{{ '' }}{% endif %}";
    static constexpr std::string_view kMessage =
        "<|im_start|>{{ message.role }}{{ '\n' }}{{ message.content }}<|im_end|>{{ '\n' }}";
    static constexpr std::string_view kPrompt =
        "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}";
    if (const auto tokens = detail::TemplateLexer::read(source)) {
      for (const bool defines : {false, true}) {
        for (const bool has_default : {true, false}) {
          std::string form(defines ? kDefine : "");
          form.append("{% for message in messages %}")
              .append(has_default ? kDefault : "")
              .append(kMessage);
          form.append("{% endfor %}").append(kPrompt);
          ChatFormat format;
          if (matches(*tokens, *detail::TemplateLexer::read(form), format.default_system_))
            return format;
        }
      }
    }
    throw LoadError(
        file, "chat_template",
        "must be a known one: ChatML, with or without a default system message; it begins \"" +
            detail::excerpt(source, 160) + "\"");
  }

  static bool matches(const Tokens& tokens,
                      const Tokens& form,
                      std::optional<std::string>& filling) {
    if (tokens.size() != form.size()) return false;
    for (std::size_t i = 0; i < form.size(); ++i) {
      const std::size_t hole = form[i].text.find(kHole);
      if (hole == std::string::npos) {
        if (tokens[i] != form[i]) return false;
        continue;
      }
      const std::string_view text = tokens[i].text,
                             before = std::string_view(form[i].text).substr(0, hole),
                             after = std::string_view(form[i].text).substr(hole + 1);
      if (tokens[i].kind != form[i].kind || text.size() < before.size() + after.size() ||
          !text.starts_with(before) || !text.ends_with(after)) {
        return false;
      }
      filling = std::string(text.substr(before.size(), text.size() - before.size() - after.size()));
    }
    return true;
  }

  static void append(std::string_view role, std::string_view content, std::string& out) {
    out.append("<|im_start|>").append(role).append("\n").append(content).append("<|im_end|>\n");
  }

  std::optional<std::string> default_system_;
};

}  // namespace promptdistill
