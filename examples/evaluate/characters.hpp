#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Text as characters and words, as Python's str methods see it: the metrics restate Python code.

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/text/utf8.hpp"

namespace promptdistill::examples {

using Characters = std::u32string;

/// What is not UTF-8 becomes U+FFFD.
inline Characters characters(std::string_view text) {
  std::string valid;
  promptdistill::detail::Utf8Repair repair;
  repair.push(text, valid);
  repair.finish(valid);
  Characters out;
  for (std::string_view rest = valid; !rest.empty();) {
    const auto step = promptdistill::detail::utf8_step(rest);
    out += step.code_point;
    rest.remove_prefix(step.length);
  }
  return out;
}

/// str.isspace(): Unicode's White_Space and the four separators of ASCII.
inline bool is_space(char32_t c) {
  return promptdistill::detail::is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

/// str.isalnum(), the \w of Python's re but for the underscore.
inline bool is_alphanumeric(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return true;
    default:
      return false;
  }
}

/// The \d of Python's re.
inline bool is_digit(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND;
}

/// string.punctuation.
inline bool is_ascii_punctuation(char32_t c) {
  return c > 0x20 && c < 0x7F && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
         !(c >= 'a' && c <= 'z');
}

/// str.lower(). A sigma that ends a word is a final one; I with a dot keeps its dot.
inline Characters lower(const Characters& text) {
  Characters out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto letter = [&](std::size_t at) {
      return at < text.size() && is_alphanumeric(text[at]);
    };
    if (text[i] == 0x0130) {
      out += U"i\u0307";
    } else if (text[i] == 0x03A3) {
      out += i > 0 && letter(i - 1) && !letter(i + 1) ? U'\u03C2' : U'\u03C3';
    } else {
      out += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(text[i])));
    }
  }
  return out;
}

/// str.upper() where one character becomes one.
inline Characters upper(Characters text) {
  for (char32_t& c : text)
    c = static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
  return text;
}

/// The longest runs of characters that `inside` holds for, in order.
template <class Predicate>
std::vector<Characters> runs_of(const Characters& text, Predicate&& inside) {
  std::vector<Characters> out;
  bool open = false;
  for (const char32_t c : text) {
    if (!inside(c)) {
      open = false;
      continue;
    }
    if (!open) out.emplace_back();
    open = true;
    out.back() += c;
  }
  return out;
}

/// str.split().
inline std::vector<Characters> words(const Characters& text) {
  return runs_of(text, [](char32_t c) { return !is_space(c); });
}

/// str.split(separator), empty parts included.
inline std::vector<Characters> split_at(const Characters& text, char32_t separator) {
  std::vector<Characters> out(1);
  for (const char32_t c : text) {
    if (c == separator) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

/// str.strip().
inline Characters strip(const Characters& text) {
  const auto solid = [](char32_t c) { return !is_space(c); };
  const auto begin = std::find_if(text.begin(), text.end(), solid);
  const auto end = std::find_if(text.rbegin(), std::make_reverse_iterator(begin), solid).base();
  return {begin, end};
}

/// All numbers, \d+.
inline std::vector<Characters> numbers(const Characters& text) { return runs_of(text, is_digit); }

inline bool contains(const Characters& text, const Characters& part) {
  return text.find(part) != Characters::npos;
}

}  // namespace promptdistill::examples
