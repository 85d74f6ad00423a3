#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What tokenizer.json looks for in a text: a string or a regular expression.

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/oniguruma.hpp"
#include "promptdistill/text/regex.hpp"

namespace promptdistill::detail {

/// An immutable value that threads may share.
class Pattern {
 public:
  /// What a search writes to; one per thread.
  using Scratch = std::optional<Regex::MatchData>;

  /// Every occurrence of `text`, which must not be empty.
  static Pattern literal(std::string text) {
    Pattern result;
    result.literal_ = std::move(text);
    return result;
  }

  /// `pattern` in Oniguruma's syntax. Throws std::invalid_argument where it is not supported.
  static Pattern regex(std::string_view pattern) {
    Pattern result;
    result.regex_ = std::make_shared<const Regex>(OnigurumaPattern::to_pcre2(pattern));
    return result;
  }

  /// {"String": "..."} or {"Regex": "..."}. Throws LoadError.
  static Pattern parse(const JsonNode& node) {
    node.allow_only({"String", "Regex"});
    const auto text = node.find("String"), pattern = node.find("Regex");
    if (text.has_value() == pattern.has_value()) node.must_be("one of String and Regex");
    const JsonNode& given = text ? *text : *pattern;
    if (given.string().empty()) given.fail("must not be empty");
    if (text) return literal(text->string());
    try {
      return regex(pattern->string());
    } catch (const std::invalid_argument& error) {
      pattern->fail(error.what());
    }
  }

  Scratch scratch() const { return regex_ ? Scratch(regex_->match_data()) : std::nullopt; }

  /// As Regex::for_each_match.
  template <class Visit>
  void for_each_match(std::string_view text, const Scratch& scratch, Visit&& visit) const {
    if (regex_) return regex_->for_each_match(text, *scratch, visit);
    for (std::size_t at = text.find(literal_); at != text.npos;) {
      visit(at, at + literal_.size());
      at = text.find(literal_, at + literal_.size());
    }
  }

  /// `text` with every match replaced.
  std::string replace(std::string_view text, std::string_view replacement) const {
    std::string out;
    std::size_t done = 0;
    for_each_match(text, scratch(), [&](std::size_t begin, std::size_t end) {
      out.append(text.substr(done, begin - done)).append(replacement);
      done = end;
    });
    return out.append(text.substr(done));
  }

 private:
  Pattern() = default;

  std::shared_ptr<const Regex> regex_;  // else literal_
  std::string literal_;
};

}  // namespace promptdistill::detail
