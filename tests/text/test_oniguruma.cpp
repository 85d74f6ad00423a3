// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Oniguruma's patterns in PCRE2's syntax: what is written otherwise, and what is refused.

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/text/oniguruma.hpp"
#include "promptdistill/text/pattern.hpp"
#include "tests/catch.hpp"

namespace promptdistill::detail {
namespace {

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  const Pattern compiled = Pattern::regex(pattern);
  std::vector<std::string> found;
  compiled.for_each_match(text, compiled.scratch(), [&](std::size_t begin, std::size_t end) {
    found.emplace_back(text.substr(begin, end - begin));
  });
  return found;
}

using Found = std::vector<std::string>;

TEST_CASE("white space is Unicode's White_Space, in and out of classes", "[text]") {
  const std::string spaces = "\t\n\v\f\r \u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000";
  const std::string others = "\u180e\u200b\ufeff\x1f!a\u4e2d\U0010ffff";
  for (const char* pattern : {"\\s+", "[\\s]+", "[^\\S]+"}) {
    INFO(pattern);
    CHECK(matches(pattern, others + spaces + others) == Found{spaces});
  }
  for (const char* pattern : {"\\S+", "[\\S]+", "[^\\s]+"}) {
    INFO(pattern);
    CHECK(matches(pattern, others + spaces + others) == Found{others, others});
  }
}

TEST_CASE("letters and numbers are those of Unicode 16", "[text]") {
  const std::string letters = "a\u00aa\u4e2d\ua7cb\U000105c0\U00031350";
  const std::string numbers = "1\u0663\u00bd\u2167\U00011f50\U0001ccf0";
  const std::string text = letters + "!" + numbers;
  CHECK(matches("\\p{L}+", text) == Found{letters});
  CHECK(matches("[\\p{L}]+", text) == Found{letters});
  CHECK(matches("\\p{N}+", text) == Found{numbers});
  CHECK(matches("\\P{L}+", text) == Found{"!" + numbers});
  CHECK(matches("[^\\s\\p{L}\\p{N}]+", text) == Found{"!"});
  CHECK(matches("\\p{N}{1,3}", "12345") == Found{"123", "45"});
}

TEST_CASE("what Ruby's syntax writes alike means what it means there", "[text]") {
  CHECK(matches("^a|b$", "a\nab\nb") == Found{"a", "a", "b", "b"});
  CHECK(matches("[\\v]|\\v", "\n\v") == Found{"\v"});
  CHECK(matches("(?i:'s|'ll)", "'S'\u017f'Ll'x") == Found{"'S", "'\u017f", "'Ll"});
  CHECK(matches("\\x{4e2d}|\\[|[\\]\\-]", "\u4e2d[]-") == Found{"\u4e2d", "[", "]", "-"});
  CHECK(matches("a*", "baac") == Found{"", "aa", ""});
  CHECK(matches("x?+x", "xx").empty() == false);
}

TEST_CASE("what would mean something else is refused with its place", "[text]") {
  const std::pair<const char*, const char*> refused[] = {
      {"ab\\h", "the escape \\h at offset 2"},
      {"\\w", "the escape \\w at offset 0"},
      {"\\bx", "the escape \\b"},
      {"(a)\\1", "the escape \\1 at offset 3"},
      {"\\x41", "the escape \\x"},
      {"a\\", "the escape \\ at offset 1"},
      {"(?i)a", "the group (?i) at offset 0"},
      {"(?<n>a)", "the group (?<n"},
      {"(?m:a)", "the group (?m:"},
      {"(?i:[a-z])", "a case-insensitive group with ["},
      {"(?i:\\p{Lu})", "a case-insensitive group with \\"},
      {"(?i:aSSb)", "a case-insensitive group with ss"},
      {"(?i:\u00e9)", "a case-insensitive group beyond ASCII"},
      {"a{,3}", "a brace that is no plain repetition at offset 1"},
      {"a{2}+", "a brace that is no plain repetition"},
      {"a{2,3}?", "a brace that is no plain repetition"},
      {"a{x}", "a brace that is no plain repetition"},
      {"[a[bc]]", "a class within a class at offset 2"},
      {"[[:alpha:]]", "a class within a class"},
      {"[]a]", "] as a class's first member"},
      {"[a-z&&b]", "an intersection of classes"},
      {"[abc", "a class without its end at offset 4"},
      {"\\p{Han}", "the property \\p{Han}"},
      {"\\p{^L}", "the property \\p{^L}"},
      {"\\pL", "a property without braces"},
      {"\\p{L", "a property without braces"},
  };
  for (const auto& [pattern, what] : refused) {
    INFO(pattern);
    std::string message;
    try {
      Pattern::regex(pattern);
    } catch (const std::invalid_argument& error) {
      message = error.what();
    }
    CHECK(message.starts_with(std::string("uses ") + what));
  }
  for (const char* broken : {"(a", "a)", "*a", "[z-a]", "[\\p{L}-~]", "[\\s-a]"}) {
    CHECK_THROWS_AS(Pattern::regex(broken), std::invalid_argument);
  }
}

TEST_CASE("a pattern that backtracks without bound ends", "[text]") {
  CHECK_THROWS_AS(matches("(a|aa)+[bc]", std::string(60, 'a')), std::runtime_error);
  const std::string spaces(300'000, ' ');
  CHECK(matches("\\s+(?!\\S)|\\s+", spaces) == Found{spaces});
  const std::string groups(300'000, 'a');  // more than compiled code's stack
  CHECK(matches("(?:(a)|b)+", groups) == Found{groups});
}

}  // namespace
}  // namespace promptdistill::detail
