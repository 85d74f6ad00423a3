#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The chat format a checkpoint was trained with, recognised from its own template.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text/chat_message.hpp"
#include "promptdistill/text/chat_writers.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/known_templates.hpp"
#include "promptdistill/text/template_fingerprint.hpp"
#include "promptdistill/text/template_lexer.hpp"

namespace promptdistill {

/// ChatML (SmolLM2, Qwen2, Qwen2.5), Llama 3 to 3.3, Phi-3 to 4-mini, or Mistral. An immutable
/// value.
///
/// No template is run. A template is recognised if it is token for token a published one, however
/// it is laid out; any other is refused, as a wrong prompt does its damage silently.
class ChatFormat {
 public:
  /// Reads the template from folder/chat_template.jinja if there, else from chat_template in
  /// folder/tokenizer_config.json (of several named ones, "default"), and the texts of bos_token
  /// and eos_token from the latter. Throws LoadError where there is no template or it is not a
  /// known one.
  static ChatFormat load(const std::filesystem::path& folder) {
    const std::filesystem::path jinja = folder / "chat_template.jinja",
                                config = folder / "tokenizer_config.json";
    std::optional<nlohmann::json> json;  // read where it is first asked for
    const auto settings = [&] {
      if (!json) json = detail::read_json(config);
      return detail::JsonNode(config, "", *json);
    };
    const auto special = [&](const char* name) { return special_token(config, settings(), name); };
    std::error_code error;
    if (std::filesystem::exists(jinja, error))
      return recognise(detail::read_text_file(jinja), jinja, special);
    const auto node = settings().find("chat_template");
    if (!node || node->value().is_null()) {
      throw LoadError(
          config, "chat_template",
          std::string("is missing: this checkpoint defines no chat format; ") + kRawText);
    }
    return recognise(node->value().is_array() ? default_template(*node) : node->string(), config,
                     special);
  }

  /// "ChatML", "Llama 3", "Phi-3" or "Mistral".
  std::string_view name() const {
    return std::visit([](const auto& writer) { return writer.kName; }, writer_);
  }

  /// What transformers' apply_chat_template makes of it, the tokens at its beginning and end
  /// included: encode it without adding special tokens. Contents are taken as they are: markers in
  /// them are not escaped. Throws std::invalid_argument where the template refuses the conversation
  /// (Mistral's turns must alternate), or where a role is one that it would not write.
  std::string render(std::span<const ChatMessage> messages,
                     bool add_generation_prompt = true) const {
    std::string text;
    std::visit([&](const auto& writer) { writer.write(messages, add_generation_prompt, text); },
               writer_);
    return text;
  }

  /// One question, up to where the answer begins; without `system` the template's own default is
  /// used, if it has one. Throws what render throws.
  std::string prompt(std::string_view user, std::optional<std::string_view> system = {}) const {
    std::vector<ChatMessage> messages;
    if (system) messages.push_back({"system", std::string(*system)});
    messages.push_back({"user", std::string(user)});
    return render(messages);
  }

  /// The token that ends a message.
  std::string end_of_turn() const {
    return std::visit([](const auto& writer) { return writer.end_of_turn(); }, writer_);
  }

  /// The system message that the template puts before a conversation without one.
  std::optional<std::string> default_system() const {
    const auto* writer = std::get_if<detail::ChatMlWriter>(&writer_);
    return writer != nullptr ? writer->default_system : std::nullopt;
  }

  /// The date that is written as today's: Llama 3.1's own default, the day of loading for 3.2's.
  std::optional<std::string> date() const {
    const auto* writer = std::get_if<detail::LlamaWriter>(&writer_);
    return writer != nullptr ? writer->date : std::nullopt;
  }

  /// The same format with another date, in any form. Throws std::invalid_argument where it writes
  /// none.
  ChatFormat with_date(std::string date) const {
    if (!this->date()) {
      throw std::invalid_argument(
          "promptdistill: a date must be for a chat format that writes one "
          "(Llama 3.1 to 3.3), got " +
          std::string(name()));
    }
    ChatFormat format = *this;
    std::get<detail::LlamaWriter>(format.writer_).date = std::move(date);
    return format;
  }

 private:
  static constexpr const char* kRawText =
      "without one, write the markers into the prompt and encode it as it is (programs: leave out "
      "--chat)";

  static constexpr std::size_t kMaxTemplateBytes = std::size_t{1}
                                                   << 18;  // published ones: to 17 KiB

  explicit ChatFormat(detail::ChatWriter writer) : writer_(std::move(writer)) {}

  static std::string default_template(const detail::JsonNode& list) {
    for (std::size_t i = 0; i < list.value().size(); ++i) {
      const detail::JsonNode entry = list.element(i);
      if (entry.at("name").string() == "default") return entry.at("template").string();
    }
    list.fail("must have a template named \"default\"");
  }

  /// `special(name)` gives the text of bos_token or eos_token.
  static ChatFormat recognise(std::string_view source,
                              const std::filesystem::path& file,
                              const std::function<std::string(const char* name)>& special) {
    std::string print = "none";
    const auto tokens =
        source.size() <= kMaxTemplateBytes ? detail::TemplateLexer::read(source) : std::nullopt;
    if (tokens) {
      const auto fingerprint = detail::TemplateFingerprint::of(*tokens);
      auto writer = detail::known_template(fingerprint, special);
      if (writer) return ChatFormat(std::move(*writer));
      char digits[17];
      std::snprintf(digits, sizeof digits, "%016llx",
                    static_cast<unsigned long long>(fingerprint.value));
      print = digits;
    }
    std::string beginning = detail::excerpt(source, 160);
    std::replace(beginning.begin(), beginning.end(), '\n', ' ');  // a message is one line
    throw LoadError(file, "chat_template",
                    "must be a published one of ChatML, Llama 3, Phi-3 or Mistral, got another "
                    "(fingerprint " +
                        print + ") that begins \"" + beginning + "\"; " + kRawText);
  }

  /// The text of bos_token or eos_token: a string, or an object that has it as its content.
  static std::string special_token(const std::filesystem::path& config,
                                   const detail::JsonNode& settings,
                                   const char* name) {
    const auto node = settings.find(name);
    if (!node || node->value().is_null())
      throw LoadError(config, name, "is missing: this checkpoint's chat template writes it");
    return node->value().is_object() ? node->at("content").string() : node->string();
  }

  detail::ChatWriter writer_;
};

}  // namespace promptdistill
