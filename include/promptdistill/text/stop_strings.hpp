#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Ends a text that arrives in pieces before the first of some strings.

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promptdistill {

/// Lets a text through up to the first stop string, and holds back what may be the beginning of
/// one. Which one is first does not depend on the pieces: it is the one that is whole first, of
/// several that end at the same place the longest. One per answer.
class StopStrings {
 public:
  /// Throws std::invalid_argument on an empty string.
  explicit StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
    if (std::find(strings_.begin(), strings_.end(), "") != strings_.end())
      throw std::invalid_argument("promptdistill: a stop string must have a character, got none");
  }

  /// What is certain to come before any stop string; nothing once one is found.
  std::string push(std::string_view piece) {
    if (found_) return {};
    held_ += piece;
    std::size_t begin = held_.size(), end = held_.npos, kept = 0;
    for (const std::string& stop : strings_) {
      const std::size_t at = held_.find(stop);
      if (at != held_.npos && (at + stop.size() < end || (at + stop.size() == end && at < begin))) {
        begin = at;
        end = at + stop.size();
      }
      kept = std::max(kept, begun(stop));
    }
    found_ = end != held_.npos;
    if (!found_) begin = held_.size() - kept;
    std::string sure = held_.substr(0, begin);
    held_.erase(0, begin);
    return sure;
  }

  /// Ends the text: what was held back, if no stop string came of it.
  std::string finish() { return found_ ? std::string() : std::exchange(held_, {}); }

  bool found() const { return found_; }

 private:
  /// The length of the longest end of held_ that `stop` begins with.
  std::size_t begun(std::string_view stop) const {
    const std::string_view held = held_;
    std::size_t length = std::min(stop.size() - 1, held.size());
    while (!held.ends_with(stop.substr(0, length))) --length;
    return length;
  }

  std::vector<std::string> strings_;
  std::string held_;
  bool found_ = false;
};

}  // namespace promptdistill
