#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What identifies a chat template: a hash of its tokens, with the texts that differ between
// checkpoints of one format left out.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/text/template_lexer.hpp"

namespace promptdistill::detail {

struct TemplateFingerprint {
  std::uint64_t value;
  std::optional<std::string>
      default_system;               // of ChatML: what it writes where no system message is
  std::optional<std::string> date;  // of Llama 3.1: what it sets date_string to

  static TemplateFingerprint of(const std::vector<TemplateToken>& tokens) {
    TemplateFingerprint print{0xcbf29ce484222325U, {}, {}};
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const TemplateToken& token = tokens[i];
      if (!print.default_system) print.default_system = system_in(token);
      if (!print.date && i >= 3 && token.kind == TemplateToken::Kind::kString &&
          tokens[i - 1].text == "=" && tokens[i - 2].text == "date_string" &&
          tokens[i - 3].text == "set") {
        print.date = token.text;
      }
    }
    for (const TemplateToken& token : tokens) print.add(token);
    return print;
  }

 private:
  static constexpr std::string_view kBefore = "<|im_start|>system\n", kAfter = "<|im_end|>\n";

  static std::optional<std::string> system_in(const TemplateToken& token) {
    const std::string_view text = token.text;
    if (token.kind != TemplateToken::Kind::kOutput ||
        text.size() < kBefore.size() + kAfter.size() || !text.starts_with(kBefore) ||
        !text.ends_with(kAfter)) {
      return std::nullopt;
    }
    return std::string(text.substr(kBefore.size(), text.size() - kBefore.size() - kAfter.size()));
  }

  void add(const TemplateToken& token) {
    using Kind = TemplateToken::Kind;
    const bool output = token.kind == Kind::kOutput, string = token.kind == Kind::kString;
    if (output && default_system && system_in(token) == default_system) {
      add('m', "");
    } else if (output && token.text == default_system) {
      add('d', "");  // Qwen2.5 writes it once more, alone, before its tools
    } else if (string && token.text == date) {
      add('t', "");
    } else {
      add(output ? 'o' : string ? 's' : 'c', token.text);
    }
  }

  /// FNV-1a over the kind, the length and the text.
  void add(char kind, std::string_view text) {
    mix(kind);
    for (int shift = 0; shift < 64; shift += 8) mix(static_cast<char>(text.size() >> shift));
    for (const char c : text) mix(c);
  }

  void mix(char byte) { value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3U; }
};

}  // namespace promptdistill::detail
