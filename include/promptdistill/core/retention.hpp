#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Which tokens of each row stay: the one value that travels from a selection to everything indexed
// by token.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace promptdistill {

/// The tokens that stay, as ascending, distinct indices into each row of a packed batch.
///
/// Checked once, at construction; on an accelerator that is one synchronisation. Immutable.
class Retention {
 public:
  /// `indices` are local to their row (0 is the row's first live token) and of dtype int64, packed
  /// row after row; row b owns indices[offsets[b], offsets[b+1]). `source_lengths[b]` is the number
  /// of tokens that row b had. Throws c10::ValueError on a wrong shape or dtype, c10::IndexError on
  /// indices out of order or out of range.
  Retention(at::Tensor indices,                        // [sum of K] int64
            std::vector<std::int64_t> offsets,         // [B+1]
            std::vector<std::int64_t> source_lengths)  // [B]
      : indices_(std::move(indices)),
        offsets_(std::move(offsets)),
        source_lengths_(std::move(source_lengths)) {
    check();
  }

  /// One row. `indices` [K] int64.
  static Retention of_row(at::Tensor indices, std::int64_t source_length) {
    TORCH_CHECK_VALUE(indices.defined() && indices.dim() == 1,
                      "promptdistill: retained indices must be a one-dimensional tensor");
    const std::int64_t kept = indices.numel();
    return Retention(std::move(indices), {0, kept}, {source_length});
  }

  const at::Tensor& indices() const { return indices_; }                               // [sum of K]
  const std::vector<std::int64_t>& offsets() const { return offsets_; }                // [B+1]
  const std::vector<std::int64_t>& source_lengths() const { return source_lengths_; }  // [B]
  std::int64_t batch() const { return static_cast<std::int64_t>(source_lengths_.size()); }
  std::int64_t source_length(std::int64_t row) const {
    return source_lengths_[static_cast<std::size_t>(row)];
  }
  std::int64_t kept(std::int64_t row) const { return offset(row + 1) - offset(row); }

  /// The indices of one row, a view.
  at::Tensor row(std::int64_t row) const {  // [K of row]
    return indices_.narrow(0, offset(row), kept(row));
  }

  /// True if every token of every row stays: a gather would change nothing.
  bool keeps_all() const {
    std::int64_t total = 0;
    for (const std::int64_t length : source_lengths_) total += length;
    return indices_.numel() == total;
  }

  /// Indices into the packed rows [S, ...] they were chosen from.
  at::Tensor packed_indices() const {  // [sum of K]
    if (batch() == 1) return indices_;
    std::vector<at::Tensor> shifted;
    std::int64_t start = 0;
    for (std::int64_t b = 0; b < batch(); ++b) {
      shifted.push_back(row(b) + start);
      start += source_length(b);
    }
    return at::cat(shifted);
  }

  /// Gathers the kept tokens of a padded tensor whose dimension 0 is the batch and whose dimension
  /// `dim` is the token: hidden states [B, T, E] with dim 1, caches [B, G, T, D] with dim 2. Every
  /// row must keep equally many tokens (always so for batch 1); for ragged rows use TokenFrame.
  at::Tensor gather(const at::Tensor& tensor, std::int64_t dim) const {
    TORCH_CHECK_VALUE(dim > 0 && dim < tensor.dim() && tensor.size(0) == batch(),
                      "promptdistill: a tensor to gather must be [B, ...] with B = ", batch(),
                      " and its token dimension in [1, ", tensor.dim(), "), got ", tensor.sizes(),
                      " and dimension ", dim);
    if (batch() == 1) {
      TORCH_CHECK_INDEX(tensor.size(dim) == source_length(0), "promptdistill: dimension ", dim,
                        " must hold the ", source_length(0),
                        " tokens that were selected from, got ", tensor.size(dim));
      return tensor.index_select(dim, indices_);
    }
    std::vector<at::Tensor> rows;
    for (std::int64_t b = 0; b < batch(); ++b) {
      TORCH_CHECK_VALUE(kept(b) == kept(0),
                        "promptdistill: rows must keep equally many tokens to stay padded, row ", b,
                        " keeps ", kept(b), " and row 0 ", kept(0), "; use TokenFrame");
      TORCH_CHECK_INDEX(tensor.size(dim) == source_length(b), "promptdistill: dimension ", dim,
                        " must hold the ", source_length(b),
                        " tokens that were selected from, got ", tensor.size(dim));
      rows.push_back(tensor[b].index_select(dim - 1, row(b)));
    }
    return at::stack(rows);
  }

  /// The retention that does the work of this one followed by `next`: keep(a) then keep(b) is
  /// keep(a.compose(b)).
  Retention compose(const Retention& next) const {
    TORCH_CHECK_VALUE(next.batch() == batch(),
                      "promptdistill: composed retentions must have the same batch, got ", batch(),
                      " and ", next.batch());
    std::vector<at::Tensor> rows;
    for (std::int64_t b = 0; b < batch(); ++b) {
      TORCH_CHECK_VALUE(next.source_length(b) == kept(b),
                        "promptdistill: the second retention must select from the ", kept(b),
                        " tokens that the first one keeps in row ", b, ", got ",
                        next.source_length(b));
      rows.push_back(row(b).index_select(0, next.row(b)));
    }
    return Retention(rows.size() == 1 ? rows.front() : at::cat(rows), next.offsets_,
                     source_lengths_);
  }

 private:
  std::int64_t offset(std::int64_t row) const { return offsets_[static_cast<std::size_t>(row)]; }

  void check() const {
    TORCH_CHECK_VALUE(
        indices_.defined() && indices_.dim() == 1 && indices_.scalar_type() == at::kLong,
        "promptdistill: retained indices must be a one-dimensional int64 tensor");
    TORCH_CHECK_VALUE(!source_lengths_.empty() && offsets_.size() == source_lengths_.size() + 1 &&
                          offsets_.front() == 0 && offsets_.back() == indices_.numel(),
                      "promptdistill: offsets must hold batch + 1 numbers from 0 to the ",
                      indices_.numel(), " retained indices, got ", offsets_);
    for (std::int64_t b = 0; b < batch(); ++b) {  // all of them before an index is read
      TORCH_CHECK_VALUE(kept(b) >= 1, "promptdistill: every row must keep at least one token, row ",
                        b, " keeps ", kept(b));
    }
    const at::Tensor host = indices_.to(at::kCPU).contiguous();
    const auto* values = host.const_data_ptr<std::int64_t>();
    for (std::int64_t b = 0; b < batch(); ++b) {
      std::int64_t previous = -1;
      for (std::int64_t i = offset(b); i < offset(b + 1); ++i) {
        TORCH_CHECK_INDEX(values[i] > previous && values[i] < source_length(b),
                          "promptdistill: retained indices must be ascending, distinct and in [0, ",
                          source_length(b), "), got ", values[i], " after ", previous, " in row ",
                          b);
        previous = values[i];
      }
    }
  }

  at::Tensor indices_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::int64_t> source_lengths_;
};

}  // namespace promptdistill
