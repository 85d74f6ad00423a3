// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// StopStrings: what comes through, in any pieces.

#include <cstddef>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/text/stop_strings.hpp"
#include "tests/catch.hpp"

namespace promptdistill {
namespace {

using Strings = std::vector<std::string>;

/// The text before the stop string that is whole first, read off every beginning of the text.
std::optional<std::string> cut(const std::string& text, const Strings& stops) {
  for (std::size_t end = 0; end <= text.size(); ++end) {
    std::optional<std::size_t> begin;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop))
        begin = std::min(begin.value_or(end), end - stop.size());
    }
    if (begin) return text.substr(0, *begin);
  }
  return std::nullopt;
}

TEST_CASE("a text comes through up to the first stop string, whatever its pieces", "[text]") {
  std::mt19937 random(3);
  const auto below = [&](std::size_t end) { return random() % end; };
  const auto word = [&](std::size_t letters, std::size_t size) {
    std::string out;
    while (out.size() < size) out += static_cast<char>('a' + below(letters));
    return out;
  };
  int found = 0, missed = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::size_t letters = 2 + below(2);
    Strings strings;
    for (std::size_t count = below(4); strings.size() < count;)
      strings.push_back(word(letters, 1 + below(6)));
    const std::string text = word(letters, below(16));
    INFO("text " << text << ", stops " << Catch::Detail::stringify(strings));
    StopStrings stops(strings);
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = below(4);
      out += stops.push(std::string_view(text).substr(at, size));
      at += size;
      const auto so_far = cut(text.substr(0, at), strings);
      if (stops.found() != so_far.has_value()) FAIL_CHECK("found after " << at);
    }
    const auto expected = cut(text, strings);
    out += stops.finish();
    if (out != expected.value_or(text)) FAIL_CHECK(out);
    CHECK(stops.found() == expected.has_value());
    ++(expected ? found : missed);
  }
  CHECK(found > 3000);
  CHECK(missed > 3000);
}

TEST_CASE("only what may become a stop string is held back", "[text]") {
  StopStrings stops({"\n\nQ:", "END"});
  CHECK(stops.push("Paris.") == "Paris.");
  CHECK(stops.push(" E") == " ");
  CHECK(stops.push("N") == "");
  CHECK(stops.push("T\n") == "ENT");
  CHECK(stops.push("\n") == "");
  CHECK(stops.push("\nQ") == "\n");
  CHECK_FALSE(stops.found());
  CHECK(stops.push(":more") == "");
  CHECK(stops.found());
  CHECK(stops.push("and more") == "");
  CHECK(stops.finish() == "");
  StopStrings unmet({"END"});
  CHECK(unmet.push("the EN") == "the ");
  CHECK(unmet.finish() == "EN");
  StopStrings none({});
  CHECK(none.push("all") == "all");
  CHECK(none.finish() == "");
}

TEST_CASE("an empty stop string is refused", "[text]") {
  CHECK_THROWS_AS(StopStrings({"a", ""}), std::invalid_argument);
  CHECK_THROWS_WITH(StopStrings({""}),
                    "promptdistill: a stop string must have a character, got none");
}

}  // namespace
}  // namespace promptdistill
