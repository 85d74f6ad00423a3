#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What InfiniteBench (arXiv 2402.13718) takes as an answer in a reply: right is 1, else 0.

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/evaluate/characters.hpp"

namespace promptdistill::examples {

namespace detail {

inline Characters with_spaces_for(Characters text, std::u32string_view characters) {
  for (char32_t& c : text)
    if (characters.find(c) != std::u32string_view::npos) c = U' ';
  return text;
}

/// What follows the first of these phrases in the text, white space skipped; empty where none does.
inline Characters after_any(const Characters& text, std::span<const std::u32string_view> phrases) {
  for (const std::u32string_view phrase : phrases) {
    const std::size_t at = text.find(phrase);
    if (at != Characters::npos) return strip(text.substr(at + phrase.size()));
  }
  return {};
}

}  // namespace detail

/// passkey, number_string, math_find: the reply's first number is the answer.
inline bool first_number_is(std::string_view reply, std::string_view answer) {
  const std::vector<Characters> found = numbers(characters(reply));
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
    if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return Characters();
    text.erase(0, std::min(text.find_first_not_of(U'0'), text.size() - 1));
    return negative && text != U"0" ? U"-" + text : text;
  };
  const Characters own = value(found.back());
  return !own.empty() && own == value(strip(characters(answer)));
}

/// code_debug: the reply begins with the right letter and a full stop or colon, or the letter or
/// the function's name follows "answer is:", "is:" or "answer:".
inline bool names_option(std::string_view reply,
                         std::string_view letter,
                         std::string_view function) {
  const Characters text = strip(characters(reply)), mark = characters(letter),
                   name = characters(function);
  if (text.starts_with(mark + U".") || text.starts_with(mark + U":")) return true;
  constexpr std::array<std::u32string_view, 3> kPhrases{U"answer is:", U"is:", U"answer:"};
  const Characters rest = detail::after_any(text, kPhrases);
  return !rest.empty() && (rest.starts_with(mark) || (!name.empty() && rest.starts_with(name)));
}

/// longbook_choice_eng: the first character where it is A to D; else the whole reply as the letter
/// or the option's text; else what follows "answer is:" and the like; else the first word that is a
/// letter.
inline bool chooses(std::string_view reply, std::string_view letter, std::string_view option) {
  const Characters text = strip(characters(reply)), mark = characters(letter),
                   label = strip(characters(option));
  const auto is_letter = [](const Characters& word) {
    return word.size() == 1 && word.front() >= U'A' && word.front() <= U'D';
  };
  if (text.empty()) return false;
  if (is_letter(text.substr(0, 1))) return text.substr(0, 1) == mark;
  if (text == mark || (!label.empty() && text == label)) return true;
  const Characters plain = detail::with_spaces_for(text, U"\n\".,?!{}()");
  constexpr std::array<std::u32string_view, 4> kPhrases{U"answer is:", U"answer:", U"answer is",
                                                        U"option is"};
  const Characters rest = detail::after_any(plain, kPhrases);
  if (!rest.empty() && is_letter(rest.substr(0, 1)) &&
      (rest.size() == 1 || !is_alphanumeric(rest[1])))
    return rest.substr(0, 1) == mark;
  if (!rest.empty() && !label.empty() && rest.starts_with(label)) return true;
  for (const Characters& word : words(plain))
    if (is_letter(word)) return word == mark;
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
