#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Jinja templates as a comparable list of tokens, so that a known one is recognised however it is
// laid out.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promptdistill::detail {

/// kOutput: text that is written; kCode: a name or sign inside a tag, "{%" and "%}" around a
/// statement; kString: a string inside a statement.
struct TemplateToken {
  enum class Kind { kOutput, kCode, kString };
  Kind kind;
  std::string text;

  bool operator==(const TemplateToken&) const = default;
};

/// Reads Jinja with trim_blocks and lstrip_blocks set, as transformers renders chat templates. What
/// writes the same is the same list: {{ 'a' + b }}, {{ "a" ~ b }} and a{{ b }}; message.role and
/// message['role']; any white space within tags.
class TemplateLexer {
 public:
  /// Empty where `source` has a comment, an unclosed tag, or a string escape that is not one of \n
  /// \r \t \\ \' \".
  static std::optional<std::vector<TemplateToken>> read(std::string_view source) {
    TemplateLexer lexer(source);
    if (!lexer.run()) return std::nullopt;
    return std::move(lexer.tokens_);
  }

 private:
  using Kind = TemplateToken::Kind;
  static constexpr std::string_view kSpace = " \t\n\r\f\v";

  explicit TemplateLexer(std::string_view source) {
    for (std::size_t i = 0; i < source.size(); ++i) {  // Jinja reads every line end as \n
      const bool pair = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
      if (!pair) source_ += source[i] == '\r' ? '\n' : source[i];
    }
    if (source_.ends_with('\n')) source_.pop_back();  // and drops the last one
  }

  bool run() {
    bool trim_newline = false, trim_all = false;
    for (std::size_t at = 0;;) {
      const std::size_t tag = find_tag(at);
      std::string data = source_.substr(at, tag == source_.npos ? tag : tag - at);
      if (trim_all) data.erase(0, data.find_first_not_of(kSpace));
      if (trim_newline && data.starts_with('\n')) data.erase(0, 1);
      if (tag == source_.npos) {
        output(data);
        return true;
      }
      const char kind = source_[tag + 1];
      if (kind == '#') return false;
      at = tag + 2;
      const char sign = at < source_.size() ? source_[at] : '\0';
      if (sign == '-') {
        data.erase(data.find_last_not_of(kSpace) + 1);
      } else if (kind == '%' && sign != '+') {
        strip_indent(data, tag);
      }
      if (sign == '-' || (sign == '+' && kind == '%')) ++at;
      output(data);
      if (kind == '%') tokens_.push_back({Kind::kCode, "{%"});
      if (!tag_body(at, kind == '%', trim_all)) return false;
      if (kind == '%') tokens_.push_back({Kind::kCode, "%}"});
      trim_newline = kind == '%' && !trim_all;
    }
  }

  std::size_t find_tag(std::size_t at) const {
    for (; at + 1 < source_.size(); ++at) {
      if (source_[at] == '{' &&
          (source_[at + 1] == '{' || source_[at + 1] == '%' || source_[at + 1] == '#'))
        return at;
    }
    return source_.npos;
  }

  /// Drops the white space before a statement that begins its line.
  void strip_indent(std::string& data, std::size_t tag) const {
    const std::string_view before = std::string_view(source_).substr(0, tag);
    const std::size_t last = before.find_last_not_of(" \t\f\v");
    if (last != before.npos && before[last] != '\n') return;
    data.erase(data.size() - std::min(data.size(), tag - (last + 1)));  // npos + 1 is 0
  }

  /// Reads up to the end of a tag and leaves `at` behind it; `trims`: it ends with a minus.
  bool tag_body(std::size_t& at, bool statement, bool& trims) {
    const std::string_view end = statement ? "%}" : "}}";
    bool fresh = !statement;  // an expression begins here
    while (at < source_.size()) {
      const std::string_view rest = std::string_view(source_).substr(at);
      const char c = rest.front();
      trims = c == '-' && rest.substr(1).starts_with(end);
      if (trims || rest.starts_with(end)) {
        at += trims ? 3 : 2;
        return true;
      }
      if (kSpace.find(c) != kSpace.npos) {
        ++at;
      } else if (c == '\'' || c == '"') {
        const auto literal = string(at);
        if (!literal) return false;
        if (statement || after_bracket()) {
          tokens_.push_back({Kind::kString, *literal});
        } else {
          output(*literal);
        }
        fresh = false;
      } else if (!statement && (c == '+' || c == '~')) {
        ++at;  // what follows is written next, as if by a tag of its own
        fresh = true;
      } else {
        if (fresh) tokens_.push_back({Kind::kCode, "{{"});
        fresh = false;
        code(at);
      }
    }
    return false;
  }

  bool after_bracket() const {
    return !tokens_.empty() && tokens_.back() == TemplateToken{Kind::kCode, "["};
  }

  std::optional<std::string> string(std::size_t& at) const {
    const char quote = source_[at];
    std::string text;
    for (++at; at < source_.size(); ++at) {
      if (source_[at] == quote) {
        ++at;
        return text;
      }
      if (source_[at] != '\\') {
        text += source_[at];
        continue;
      }
      static constexpr std::string_view kLetters = "nrt\\'\"", kMeanings = "\n\r\t\\'\"";
      const std::size_t letter = ++at < source_.size() ? kLetters.find(source_[at]) : kLetters.npos;
      if (letter == kLetters.npos) return std::nullopt;
      text += kMeanings[letter];
    }
    return std::nullopt;
  }

  /// A name, a number, != or ==, or one sign; .name is written as ['name'].
  void code(std::size_t& at) {
    const std::size_t begin = at;
    if (is_name(source_[at])) {
      while (at < source_.size() && is_name(source_[at])) ++at;
    } else if (source_[at] == '.' && at + 1 < source_.size() && is_name(source_[at + 1])) {
      while (++at < source_.size() && is_name(source_[at])) {
      }
      tokens_.push_back({Kind::kCode, "["});
      tokens_.push_back({Kind::kString, source_.substr(begin + 1, at - begin - 1)});
      tokens_.push_back({Kind::kCode, "]"});
      return;
    } else {
      at += source_.compare(at, 2, "!=") == 0 || source_.compare(at, 2, "==") == 0 ? 2 : 1;
    }
    tokens_.push_back({Kind::kCode, source_.substr(begin, at - begin)});
  }

  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }

  void output(const std::string& text) {
    if (text.empty()) return;
    if (!tokens_.empty() && tokens_.back().kind == Kind::kOutput) {
      tokens_.back().text += text;
    } else {
      tokens_.push_back({Kind::kOutput, text});
    }
  }

  std::string source_;
  std::vector<TemplateToken> tokens_;
};

}  // namespace promptdistill::detail
