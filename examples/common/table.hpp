#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A plain-text table: the first column to the left, the others to the right.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace promptdistill::examples {

class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  std::string text() const {
    std::vector<std::size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
    }
    std::string out;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      for (std::size_t c = 0; c < rows_[r].size(); ++c) {
        const std::string padding(widths[c] - rows_[r][c].size(), ' ');
        out += c == 0 ? rows_[r][c] + padding : "  " + padding + rows_[r][c];
      }
      out += '\n';
      if (r == 0) {
        for (std::size_t c = 0; c < widths.size(); ++c)
          out += (c == 0 ? "" : "  ") + std::string(widths[c], '-');
        out += '\n';
      }
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace promptdistill::examples
