#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Similarity of two texts by their matching blocks (Ratcliff and Obershelp), as Python's difflib
// finds them.

#include <cmath>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include "examples/evaluate/characters.hpp"

namespace promptdistill::examples {

namespace detail {

/// Finds, of all blocks that both texts share, the longest, of those the first in `a`, of those the
/// first in `b`; then the same left and right of it. In a `b` of 200 characters or more, one that
/// makes up over a hundredth of it starts no block, though a block may grow over it.
class SequenceMatcher {
 public:
  SequenceMatcher(const Characters& a, const Characters& b) : a_(a), b_(b) {
    for (std::size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
    if (b.size() >= 200) {
      const std::size_t most = b.size() / 100 + 1;
      std::erase_if(places_, [&](const auto& entry) { return entry.second.size() > most; });
    }
  }

  /// Characters in matching blocks.
  std::size_t matches() const {
    std::size_t total = 0;
    std::vector<Range> open{{0, a_.size(), 0, b_.size()}};
    while (!open.empty()) {
      const Range range = open.back();
      open.pop_back();
      const Block block = longest(range);
      if (block.size == 0) continue;
      total += block.size;
      open.push_back({range.a_begin, block.a, range.b_begin, block.b});
      open.push_back({block.a + block.size, range.a_end, block.b + block.size, range.b_end});
    }
    return total;
  }

 private:
  struct Range {
    std::size_t a_begin, a_end, b_begin, b_end;
  };
  struct Block {
    std::size_t a, b, size;
  };

  Block longest(const Range& range) const {
    Block best{range.a_begin, range.b_begin, 0};
    // Lengths of the blocks that end at a character of `a` and each of `b`; one more in front.
    std::vector<std::size_t> ending(b_.size() + 1, 0), next(b_.size() + 1, 0);
    std::vector<std::size_t> set, next_set;  // which of them are not 0
    for (std::size_t i = range.a_begin; i < range.a_end; ++i) {
      next_set.clear();
      if (const auto found = places_.find(a_[i]); found != places_.end()) {
        for (const std::size_t j : found->second) {
          if (j < range.b_begin) continue;
          if (j >= range.b_end) break;
          const std::size_t size = ending[j] + 1;
          next[j + 1] = size;
          next_set.push_back(j + 1);
          if (size > best.size) best = {i + 1 - size, j + 1 - size, size};
        }
      }
      for (const std::size_t at : set) ending[at] = 0;
      ending.swap(next);
      set.swap(next_set);
    }
    while (best.a > range.a_begin && best.b > range.b_begin && a_[best.a - 1] == b_[best.b - 1])
      best = {best.a - 1, best.b - 1, best.size + 1};
    while (best.a + best.size < range.a_end && best.b + best.size < range.b_end &&
           a_[best.a + best.size] == b_[best.b + best.size])
      ++best.size;
    return best;
  }

  const Characters& a_;
  const Characters& b_;
  std::unordered_map<char32_t, std::vector<std::size_t>> places_;  // in b, ascending
};

}  // namespace detail

/// 0 to 100, as fuzzywuzzy 0.18 gives it without python-Levenshtein: twice the characters in
/// matching blocks over those of both, rounded half to even. 100 for equal texts, 0 where one is
/// empty.
inline int fuzz_ratio(const Characters& a, const Characters& b) {
  if (a == b) return 100;
  if (a.empty() || b.empty()) return 0;
  const double ratio = 2.0 * static_cast<double>(detail::SequenceMatcher(a, b).matches()) /
                       static_cast<double>(a.size() + b.size());
  return static_cast<int>(std::nearbyint(100 * ratio));
}

}  // namespace promptdistill::examples
