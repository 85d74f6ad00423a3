#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Cuts pieces at the matches of a pattern.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/pattern.hpp"
#include "promptdistill/text/pieces.hpp"

namespace promptdistill::detail {

/// tokenizer.json's Split. An immutable value.
struct Split {
  /// What becomes of a match: nothing, a piece of its own, a part of the piece before or after it;
  /// kContiguous makes one piece of neighbouring matches.
  enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

  Pattern pattern;
  Behavior behavior;
  bool invert = false;  // what lies between matches counts as the match

  /// Throws LoadError.
  static Split parse(const JsonNode& node) {
    node.allow_only({"type", "pattern", "behavior", "invert"});
    static constexpr std::array<std::pair<std::string_view, Behavior>, 5> kBehaviors = {{
        {"Removed", Behavior::kRemoved},
        {"Isolated", Behavior::kIsolated},
        {"MergedWithPrevious", Behavior::kMergedWithPrevious},
        {"MergedWithNext", Behavior::kMergedWithNext},
        {"Contiguous", Behavior::kContiguous},
    }};
    const JsonNode behavior = node.at("behavior");
    const auto* const known =
        std::find_if(kBehaviors.begin(), kBehaviors.end(),
                     [&](const auto& each) { return each.first == behavior.string(); });
    if (known == kBehaviors.end())
      behavior.must_be("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
    return {Pattern::parse(node.at("pattern")), known->second, node.at("invert").boolean()};
  }

  void operator()(Pieces& pieces) const {
    const Pattern::Scratch scratch = pattern.scratch();
    std::vector<Span> spans;
    std::vector<Pieces::Range> ranges;
    for (const Pieces::Range piece : pieces.ranges) {
      spans.clear();
      std::size_t done = piece.begin;
      const auto add = [&](std::size_t end, bool is_match) {
        spans.push_back({{done, end}, is_match != invert});
        done = end;
      };
      pattern.for_each_match(pieces[piece], scratch, [&](std::size_t begin, std::size_t end) {
        if (done < piece.begin + begin) add(piece.begin + begin, false);
        add(piece.begin + end, true);
      });
      if (done < piece.end) add(piece.end, false);
      join(spans);
      for (const Span& span : spans) {
        if (span.range.begin < span.range.end && !(behavior == Behavior::kRemoved && span.is_match))
          ranges.push_back(span.range);
      }
    }
    pieces.ranges = std::move(ranges);
  }

 private:
  struct Span {
    Pieces::Range range;
    bool is_match;
  };

  /// Joins neighbours as `behavior` says. Empty spans take part, as in Hugging Face.
  void join(std::vector<Span>& spans) const {
    if (behavior == Behavior::kRemoved || behavior == Behavior::kIsolated) return;
    const bool backwards = behavior == Behavior::kMergedWithNext;
    if (backwards) std::reverse(spans.begin(), spans.end());
    bool after_match = false;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const Span span = spans[i];
      const bool joins = behavior == Behavior::kContiguous ? span.is_match == after_match
                                                           : span.is_match && !after_match;
      after_match = span.is_match;
      if (!joins || kept == 0) {
        spans[kept++] = span;
      } else if (backwards) {
        spans[kept - 1].range.begin = span.range.begin;
      } else {
        spans[kept - 1].range.end = span.range.end;
      }
    }
    spans.resize(kept);
    if (backwards) std::reverse(spans.begin(), spans.end());
  }
};

}  // namespace promptdistill::detail
