#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Jinja templates as a comparable list of tokens, so that a known one is recognised however it is
// laid out.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promptdistill::detail {

/// kOutput: text that is written; kCode: a name or sign inside a tag, "{%" and "%}" around a
/// statement, "{{" before an expression; kString: a string inside of either.
struct TemplateToken {
  enum class Kind { kOutput, kCode, kString };
  Kind kind;
  std::string text;

  bool operator==(const TemplateToken&) const = default;
};

/// Reads Jinja with trim_blocks and lstrip_blocks set, as transformers renders chat templates. What
/// writes the same is the same list: {{ 'a' + b }}, {{ "a" ~ b }} and a{{ b }}; message.role and
/// message['role']; any white space within tags; any comments.
class TemplateLexer {
 public:
  /// Empty where `source` has an unclosed tag, an expression that computes (joined to its
  /// neighbours only values, calls and filters stay what they are), or a string escape other than
  /// \n \r \t \\ \'
  /// \".
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
      const std::size_t line = data.rfind('\n') + 1;  // npos + 1 is 0
      const bool indents = tag != source_.npos && (line > 0 || at == 0) &&
                           data.find_first_not_of(kSpace, line) == data.npos;
      const std::size_t indent = indents ? data.size() - line : 0;
      if (trim_all) data.erase(0, data.find_first_not_of(kSpace));
      if (trim_newline && data.starts_with('\n')) data.erase(0, 1);
      if (tag == source_.npos) {
        output(data);
        return true;
      }
      const char kind = source_[tag + 1];
      at = tag + 2;
      const char sign = at < source_.size() ? source_[at] : '\0';
      if (sign == '-') {
        data.erase(data.find_last_not_of(kSpace) + 1);
      } else if (kind != '{' && sign != '+') {  // the white space before it on its line
        data.erase(data.size() - std::min(data.size(), indent));
      }
      if (sign == '-' || (sign == '+' && kind != '{')) ++at;
      output(data);
      if (kind == '#') {
        if (!comment(at, trim_all)) return false;
      } else {
        if (kind == '%') tokens_.push_back({Kind::kCode, "{%"});
        if (!tag_body(at, kind == '%', trim_all)) return false;
        if (kind == '%') tokens_.push_back({Kind::kCode, "%}"});
      }
      trim_newline = kind != '{' && !trim_all;
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

  /// Leaves `at` behind the comment that it stands in; `trims`: it ends with a minus.
  bool comment(std::size_t& at, bool& trims) const {
    const std::size_t end = source_.find("#}", at);
    const char sign = end != source_.npos && end > at ? source_[end - 1] : '\0';
    if (end == source_.npos || sign == '+')
      return false;  // a plus keeps the line end: not read here
    trims = sign == '-';
    at = end + 2;
    return true;
  }

  /// Reads up to the end of a tag and leaves `at` behind it; `trims`: it ends with a minus.
  bool tag_body(std::size_t& at, bool statement, bool& trims) {
    const std::string_view end = statement ? "%}" : "}}";
    int depth = 0;            // open brackets
    bool fresh = !statement;  // what an expression writes next begins here
    while (at < source_.size()) {
      const std::string_view rest = std::string_view(source_).substr(at);
      const char c = rest.front();
      trims = c == '-' && rest.substr(1).starts_with(end);
      if (depth == 0 && (trims || rest.starts_with(end))) {
        at += trims ? 3 : 2;
        return !fresh;
      }
      if (kSpace.find(c) != kSpace.npos) {
        ++at;
      } else if (!statement && depth == 0 && (c == '+' || c == '~')) {
        if (fresh) return false;  // a sign before a value is no join
        ++at;                     // what follows is written next, as if by a tag of its own
        fresh = true;
      } else {
        const bool quoted = c == '\'' || c == '"';
        const auto literal = quoted ? string(at) : std::nullopt;
        if (quoted && !literal) return false;
        if (literal && fresh && is_whole(at)) {
          output(*literal);
        } else {
          if (fresh) tokens_.push_back({Kind::kCode, "{{"});
          if (literal) tokens_.push_back({Kind::kString, *literal});
          if (!literal && !code(at, statement || depth > 0)) return false;
        }
        fresh = false;
        if (c == '(' || c == '[' || c == '{') ++depth;
        if (c == ')' || c == ']' || c == '}') --depth;
      }
    }
    return false;
  }

  /// Whether a string that ends at `at` is all that is written there: no filter or test follows.
  bool is_whole(std::size_t at) const {
    at = std::min(source_.find_first_not_of(kSpace, at), source_.size());
    const std::string_view rest = std::string_view(source_).substr(at);
    return rest.starts_with('+') || rest.starts_with('~') || rest.starts_with("}}") ||
           rest.starts_with("-}}");
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

  /// A name, a number, != or ==, or one sign; .name is written as ['name']. False for an operator
  /// where it is not `free` to stand.
  bool code(std::size_t& at, bool free) {
    const std::size_t begin = at;
    if (is_name(source_[at])) {
      while (at < source_.size() && is_name(source_[at])) ++at;
    } else if (source_[at] == '.' && at + 1 < source_.size() && is_name(source_[at + 1])) {
      while (++at < source_.size() && is_name(source_[at])) {
      }
      tokens_.push_back({Kind::kCode, "["});
      tokens_.push_back({Kind::kString, source_.substr(begin + 1, at - begin - 1)});
      tokens_.push_back({Kind::kCode, "]"});
      return true;
    } else {
      at += source_.compare(at, 2, "!=") == 0 || source_.compare(at, 2, "==") == 0 ? 2 : 1;
    }
    const std::string text = source_.substr(begin, at - begin);
    tokens_.push_back({Kind::kCode, text});
    static constexpr std::string_view kWords[] = {"if", "else", "and", "or", "not", "in", "is"};
    const bool word = is_name(text[0]) && (text[0] < '0' || text[0] > '9') &&
                      std::find(std::begin(kWords), std::end(kWords), text) == std::end(kWords);
    return free || word || text == "|" || text == "(" || text == "[" || text == "{";
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
