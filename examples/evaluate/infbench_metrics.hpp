#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What InfiniteBench (arXiv 2402.13718) takes as an answer in a reply: right is 1, else 0.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "examples/evaluate/characters.hpp"

namespace promptdistill::examples {

namespace detail {

inline Characters with_spaces_for(Characters text, std::u32string_view characters) {
  for (char32_t& c : text)
    if (characters.find(c) != std::u32string_view::npos) c = U' ';
  return text;
}

/// Runs of spaces as one.
inline Characters with_single_spaces(const Characters& text) {
  Characters out;
  for (const char32_t c : text)
    if (c != U' ' || out.empty() || out.back() != U' ') out.push_back(c);
  return out;
}

/// Of the first of these phrases that the text has, what stands one character behind it; nothing
/// where it has none of them.
inline std::optional<Characters> after_any(const Characters& text,
                                           std::span<const std::u32string_view> phrases) {
  for (const std::u32string_view phrase : phrases) {
    const std::size_t at = text.find(phrase);
    if (at == Characters::npos) continue;
    const std::size_t behind = at + phrase.size() + 1;
    return behind > text.size() ? Characters() : text.substr(behind);
  }
  return {};
}

/// The benchmark's own digits; Python's \d and int() take those of other scripts as well.
inline bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

/// The first number of a text, of digits with or without a decimal point.
inline std::optional<double> first_decimal(const Characters& text) {
  const auto first = std::find_if(text.begin(), text.end(), is_ascii_digit);
  std::string digits;
  for (auto c = first; c != text.end(); ++c) {
    const bool point = *c == U'.' && digits.find('.') == std::string::npos &&
                       std::next(c) != text.end() && is_ascii_digit(*std::next(c));
    if (!point && !is_ascii_digit(*c)) break;
    digits.push_back(static_cast<char>(*c));
  }
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc()) return {};
  return value;
}

}  // namespace detail

/// passkey, number_string: the reply's first run of digits is the answer.
inline bool first_number_is(std::string_view reply, std::string_view answer) {
  const std::vector<Characters> found = runs_of(characters(reply), detail::is_ascii_digit);
  return !found.empty() && found.front() == characters(answer);
}

/// kv_retrieval: the answer is a word of the reply.
inline bool has_value(std::string_view reply, std::string_view answer) {
  const auto found = words(detail::with_spaces_for(characters(reply), U"\n:\"'.,?!{}"));
  return std::find(found.begin(), found.end(), characters(answer)) != found.end();
}

/// code_run: the reply's last word is the answer, as an integer.
inline bool last_integer_is(std::string_view reply, std::string_view answer) {
  const auto found = words(detail::with_spaces_for(characters(reply), U"\n.`'\":"));
  if (found.empty()) return false;
  const auto value = [](Characters text) {  // without sign and leading zeros, or nothing
    bool negative = false;
    if (!text.empty() && (text.front() == U'-' || text.front() == U'+')) {
      negative = text.front() == U'-';
      text.erase(text.begin());
    }
    if (text.empty() || !std::all_of(text.begin(), text.end(), detail::is_ascii_digit))
      return Characters();
    text.erase(0, std::min(text.find_first_not_of(U'0'), text.size() - 1));
    return negative && text != U"0" ? U"-" + text : text;
  };
  const Characters own = value(found.back());
  return !own.empty() && own == value(strip(characters(answer)));
}

/// math_find: the reply's first number, with its decimals, is the answer.
inline bool first_decimal_is(std::string_view reply, std::string_view answer) {
  const std::optional<double> said = detail::first_decimal(characters(reply));
  return said && said == detail::first_decimal(characters(answer));
}

/// code_debug: the reply begins with the right letter and a full stop or colon; else the letter or
/// the function's name follows "answer is:", "is:" or "answer:", of which the first in this order
/// that the reply has decides. Line ends, quotes, hyphens and "option" are spaces there.
inline bool names_option(std::string_view reply,
                         std::string_view letter,
                         std::string_view function) {
  Characters text = strip(characters(reply));
  const Characters mark = characters(letter), name = characters(function);
  if (text.starts_with(mark + U".") || text.starts_with(mark + U":")) return true;
  text = detail::with_spaces_for(std::move(text), U"\n`'\"-*");
  for (const std::u32string_view word : {U"Option", U"option"}) {
    for (std::size_t at = text.find(word); at != Characters::npos; at = text.find(word))
      text = text.substr(0, at) + U" " + text.substr(at + word.size());
  }
  constexpr std::array<std::u32string_view, 3> kPhrases{U"answer is:", U"is:", U"answer:"};
  const auto rest = detail::after_any(detail::with_single_spaces(text), kPhrases);
  return rest && !rest->empty() &&
         (rest->starts_with(mark) || (!name.empty() && rest->starts_with(name)));
}

/// longbook_choice_eng: the first character where it is A to D; else the whole reply as the letter
/// or the option's text; else whether one of these follows the first of "answer is:", "answer:",
/// "answer is" and "option is" that the reply has; else the first word that is a letter or a run of
/// them.
inline bool chooses(std::string_view reply, std::string_view letter, std::string_view option) {
  const Characters text = strip(characters(reply)), mark = characters(letter),
                   label = characters(option);
  constexpr std::u32string_view kLetters = U"ABCD";
  const auto is_label = [&](const Characters& each) {
    return each == mark || (!label.empty() && each == label);
  };
  if (text.empty()) return false;
  if (kLetters.find(text.front()) != std::u32string_view::npos) return text.substr(0, 1) == mark;
  if (is_label(text)) return true;
  const Characters plain =
      detail::with_single_spaces(detail::with_spaces_for(text, U"\n\"'.,?!{}"));
  constexpr std::array<std::u32string_view, 4> kPhrases{U"answer is:", U"answer:", U"answer is",
                                                        U"option is"};
  if (const auto rest = detail::after_any(plain, kPhrases))
    return rest->starts_with(mark) || (!label.empty() && rest->starts_with(label));
  for (const Characters& word : words(plain))
    if (kLetters.find(word) != std::u32string_view::npos) return word == mark;
  return false;
}

/// longdialogue_qa_eng: a name of the references is among the reply's words, whatever their case.
inline bool names_speaker(std::string_view reply, std::span<const std::string> names) {
  const auto found = words(detail::with_spaces_for(upper(characters(reply)), U"\n:\"'.,?!{}"));
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(found.begin(), found.end(), upper(characters(name))) != found.end();
  });
}

}  // namespace promptdistill::examples
