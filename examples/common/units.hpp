#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Numbers, bytes and FLOPs as people read them, and paragraphs that fit a terminal.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace promptdistill::examples {

/// 1,234,567.
inline std::string grouped(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') text += ',';
    text += digits[i];
  }
  return text;
}

namespace detail {
inline std::string scaled(double value,
                          double largest,
                          double base,
                          const std::array<const char*, 7>& units) {
  std::size_t unit = 0;
  for (; largest >= base && unit + 1 < units.size(); ++unit) {
    largest /= base;
    value /= base;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : largest < 10 ? 2 : 1, units[unit]);
}
}  // namespace detail

/// "92.4 MiB", in the unit that suits the largest of a column: this one, unless one is given.
inline std::string bytes_text(std::int64_t bytes, std::int64_t largest = 0) {
  return detail::scaled(static_cast<double>(bytes), static_cast<double>(std::max(bytes, largest)),
                        1024, {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
}

/// "1.45 TFLOP", likewise.
inline std::string flops_text(double flops, double largest = 0) {
  return detail::scaled(flops, std::max(flops, largest), 1000,
                        {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"});
}

/// A paragraph of at most 100 columns, broken at spaces. `head` begins it; the further lines are
/// indented as far as `head` is wide.
inline std::string wrapped(const std::string& head, std::string_view text) {
  constexpr std::size_t kColumns = 100;
  std::string out = head;
  std::size_t column = head.size();
  while (!text.empty()) {
    const std::size_t word = std::min(text.find(' '), text.size());
    if (column > head.size() && column + 1 + word > kColumns) {
      out += '\n' + std::string(head.size(), ' ');
      column = head.size();
    } else if (column > head.size()) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, word);
    column += word;
    text.remove_prefix(std::min(word + 1, text.size()));
  }
  return out + '\n';
}

}  // namespace promptdistill::examples
