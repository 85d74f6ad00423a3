#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A compiled regular expression, for the few that split text before BPE.

// The suffixed names are used below, so any width serves; the header insists on one.
#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

/// PCRE2 with Unicode properties. An immutable value that threads may share; what a match writes to
/// is the caller's.
class Regex {
 public:
  using MatchData = std::unique_ptr<pcre2_match_data_8, decltype(&pcre2_match_data_free_8)>;

  /// Throws std::invalid_argument where the pattern does not compile.
  explicit Regex(std::string_view pattern) {
    int error = 0;
    std::size_t offset = 0;
    code_.reset(
        pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr),
        &pcre2_code_free_8);
    if (!code_) {
      throw std::invalid_argument("must compile, at offset " + std::to_string(offset) + ": " +
                                  message(error));
    }
    pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);  // where it fails, matching interprets
  }

  MatchData match_data() const {
    MatchData data(pcre2_match_data_create_from_pattern_8(code_.get(), nullptr),
                   &pcre2_match_data_free_8);
    if (!data) throw std::bad_alloc();
    return data;
  }

  /// Calls visit(begin, end) with the byte offsets of every match, left to right, none overlapping;
  /// an empty one does not touch the match before.
  ///
  /// `text` must be valid UTF-8 and begins and ends what look-arounds see. `data` must come from
  /// match_data(). Throws std::runtime_error where PCRE2 gives up (its match limit, on a pattern
  /// that backtracks without bound).
  template <class Visit>
  void for_each_match(std::string_view text, const MatchData& data, Visit&& visit) const {
    std::optional<std::size_t> last_end;
    for (std::size_t at = 0; at <= text.size();) {
      if (!match(text, at, data)) return;
      const std::size_t* bounds = pcre2_get_ovector_pointer_8(data.get());
      const std::size_t begin = bounds[0], end = bounds[1];
      if (begin == end && end == last_end) {
        at = end < text.size() ? end + utf8_step(text.substr(end)).length : end + 1;
        continue;
      }
      visit(begin, end);
      at = end;
      last_end = end;
    }
  }

 private:
  bool match(std::string_view text, std::size_t at, const MatchData& data) const {
    const auto run = [&](std::uint32_t options) {
      return pcre2_match_8(code_.get(), reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), at,
                           PCRE2_NO_UTF_CHECK | options, data.get(), nullptr);
    };
    int found = run(0);
    // Compiled code has a small stack, the interpreter takes what it needs.
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
      throw std::runtime_error("promptdistill: splitting a text failed: " + message(found));
    return found >= 0;
  }

  static std::string message(int error) {
    char buffer[256] = {};
    pcre2_get_error_message_8(error, reinterpret_cast<PCRE2_UCHAR8*>(buffer), sizeof(buffer));
    return buffer;
  }

  std::shared_ptr<pcre2_code_8> code_;
};

}  // namespace promptdistill::detail
