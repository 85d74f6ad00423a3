#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A text on its way from one string to the pieces that BPE works on.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promptdistill::detail {

/// Pieces of `text` in their order, none empty, none overlapping; what lies in no piece is dropped.
struct Pieces {
  struct Range {
    std::size_t begin, end;
  };

  std::string text;
  std::vector<Range> ranges;
  bool starts_text;  // text[0] is where the whole text begins, no added token is before it

  Pieces(std::string whole, bool at_start) : text(std::move(whole)), starts_text(at_start) {
    if (!text.empty()) ranges.push_back({0, text.size()});
  }

  std::string_view operator[](Range range) const {
    return std::string_view(text).substr(range.begin, range.end - range.begin);
  }

  /// Makes every piece what append(piece, starts the whole text, out) appends for it.
  template <class Append>
  void rewrite(Append&& append) {
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    starts_text = starts_text && !ranges.empty() && ranges.front().begin == 0;
    for (Range& range : ranges) {
      const std::size_t begin = out.size();
      append((*this)[range], starts_text && begin == 0, out);
      range = {begin, out.size()};
    }
    text = std::move(out);
  }
};

}  // namespace promptdistill::detail
