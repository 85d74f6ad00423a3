#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The live tokens of a batch, packed row after row: hidden states, true positions, and where each
// row begins.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "promptdistill/core/retention.hpp"

namespace promptdistill {

/// A packed batch without padding: S is the sum of the live tokens of all rows. Projections and
/// MLPs run on S rows, attention on each row's own slice, so that a row of a batch is the same
/// prompt alone.
///
/// Positions are stored and never inferred from a length: after a selection they are what they
/// were.
class TokenFrame {
 public:
  /// `hidden` may be undefined where only positions are tracked. Throws c10::ValueError on shapes
  /// that do not fit.
  TokenFrame(at::Tensor hidden,                  // [S, E]
             at::Tensor positions,               // [S] int64, ascending within a row
             std::vector<std::int64_t> offsets)  // [B+1]
      : hidden_(std::move(hidden)), positions_(std::move(positions)), offsets_(std::move(offsets)) {
    TORCH_CHECK_VALUE(
        positions_.defined() && positions_.dim() == 1 && positions_.scalar_type() == at::kLong,
        "promptdistill: positions must be a one-dimensional int64 tensor");
    TORCH_CHECK_VALUE(
        offsets_.size() >= 2 && offsets_.front() == 0 && offsets_.back() == positions_.numel(),
        "promptdistill: offsets must run from 0 to the ", positions_.numel(), " live tokens, got ",
        offsets_);
    for (std::int64_t b = 0; b < batch(); ++b) {
      TORCH_CHECK_VALUE(length(b) >= 1,
                        "promptdistill: a prompt must have at least one token, row ", b, " has ",
                        length(b));
    }
    TORCH_CHECK_VALUE(
        !hidden_.defined() || (hidden_.dim() == 2 && hidden_.size(0) == positions_.numel()),
        "promptdistill: hidden states must be [S, E] with S = ", positions_.numel(),
        " live tokens");
  }

  /// Fresh prompts: row b's tokens stand at first_positions[b], first_positions[b] + 1, ... (0
  /// where none are given).
  static TokenFrame from_prompt(at::Tensor hidden,                         // [S, E]
                                const std::vector<std::int64_t>& lengths,  // [B], sum S
                                const std::vector<std::int64_t>& first_positions = {}) {  // [B]
    TORCH_CHECK_VALUE(!lengths.empty(),
                      "promptdistill: a batch must have at least one prompt, got none");
    TORCH_CHECK_VALUE(first_positions.empty() || first_positions.size() == lengths.size(),
                      "promptdistill: there must be one first position per row, got ",
                      first_positions.size(), " for ", lengths.size(), " rows");
    std::vector<std::int64_t> offsets{0};
    std::vector<at::Tensor> positions;
    const auto options = at::TensorOptions().dtype(at::kLong).device(
        hidden.defined() ? hidden.device() : at::Device(at::kCPU));
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      TORCH_CHECK_VALUE(lengths[b] >= 1,
                        "promptdistill: a prompt must have at least one token, row ", b, " has ",
                        lengths[b]);
      const std::int64_t first = first_positions.empty() ? 0 : first_positions[b];
      TORCH_CHECK_VALUE(first >= 0, "promptdistill: a position must not be negative, got ", first,
                        " in row ", b);
      positions.push_back(at::arange(first, first + lengths[b], options));
      offsets.push_back(offsets.back() + lengths[b]);
    }
    return TokenFrame(std::move(hidden),
                      positions.size() == 1 ? positions.front() : at::cat(positions),
                      std::move(offsets));
  }

  /// From padded hidden states and a mask that is true where a token is (padding on either side,
  /// tokens contiguous or not). Without a mask every place is a token. Batch 1 without a mask is a
  /// view.
  static TokenFrame from_padded(const at::Tensor& hidden,       // [B, T, E]
                                const at::Tensor& mask = {}) {  // [B, T] bool
    TORCH_CHECK_VALUE(hidden.defined() && hidden.dim() == 3,
                      "promptdistill: padded hidden states must be [B, T, E]");
    const std::int64_t batch = hidden.size(0), tokens = hidden.size(1);
    if (!mask.defined()) {
      return from_prompt(hidden.reshape({batch * tokens, hidden.size(2)}),
                         std::vector<std::int64_t>(static_cast<std::size_t>(batch), tokens));
    }
    TORCH_CHECK_VALUE(mask.dim() == 2 && mask.size(0) == batch && mask.size(1) == tokens &&
                          mask.scalar_type() == at::kBool,
                      "promptdistill: a mask must be bool [B, T] = [", batch, ", ", tokens,
                      "], got ", mask.sizes());
    const at::Tensor counts = mask.sum(1).to(at::kCPU);
    std::vector<std::int64_t> lengths(counts.const_data_ptr<std::int64_t>(),
                                      counts.const_data_ptr<std::int64_t>() + batch);
    return from_prompt(hidden.reshape({batch * tokens, hidden.size(2)})
                           .index_select(0, mask.reshape(-1).nonzero().squeeze(1)),
                       lengths);
  }

  /// Right-padded with zeros to the longest row.
  at::Tensor to_padded() const {  // [B, T, E]
    if (batch() == 1) return hidden_.unsqueeze(0);
    std::int64_t longest = 0;
    for (std::int64_t b = 0; b < batch(); ++b) longest = std::max(longest, length(b));
    at::Tensor padded = at::zeros({batch(), longest, hidden_.size(1)}, hidden_.options());
    for (std::int64_t b = 0; b < batch(); ++b)
      padded[b].narrow(0, 0, length(b)).copy_(row(hidden_, b));
    return padded;
  }

  const at::Tensor& hidden() const { return hidden_; }                   // [S, E]
  const at::Tensor& positions() const { return positions_; }             // [S]
  const std::vector<std::int64_t>& offsets() const { return offsets_; }  // [B+1]
  std::int64_t batch() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
  std::int64_t tokens() const { return offsets_.back(); }
  std::int64_t offset(std::int64_t row) const { return offsets_[static_cast<std::size_t>(row)]; }
  std::int64_t length(std::int64_t row) const { return offset(row + 1) - offset(row); }

  std::vector<std::int64_t> lengths() const {  // [B]
    std::vector<std::int64_t> result;
    for (std::int64_t b = 0; b < batch(); ++b) result.push_back(length(b));
    return result;
  }

  /// Row b of any tensor whose dimension 0 is the packed token, as a view.
  at::Tensor row(const at::Tensor& packed, std::int64_t b) const {
    return packed.narrow(0, offset(b), length(b));
  }

  /// The same tokens with other hidden states.
  TokenFrame with_hidden(at::Tensor hidden) const {
    return TokenFrame(std::move(hidden), positions_, offsets_);
  }

  /// Only the retained tokens, at the positions they always had.
  TokenFrame keep(const Retention& retention) const {
    TORCH_CHECK_VALUE(retention.source_lengths() == lengths(),
                      "promptdistill: a retention must be chosen from this frame's rows of ",
                      lengths(), " tokens, got one from ", retention.source_lengths());
    const at::Tensor indices = retention.packed_indices();
    return TokenFrame(hidden_.defined() ? hidden_.index_select(0, indices) : hidden_,
                      positions_.index_select(0, indices), retention.offsets());
  }

  /// The hidden state of every row's last token.
  at::Tensor last_token() const {  // [B, E]
    if (batch() == 1) return hidden_.narrow(0, tokens() - 1, 1);
    std::vector<at::Tensor> last;
    for (std::int64_t b = 0; b < batch(); ++b)
      last.push_back(hidden_.narrow(0, offset(b + 1) - 1, 1));
    return at::cat(last);
  }

 private:
  at::Tensor hidden_;
  at::Tensor positions_;
  std::vector<std::int64_t> offsets_;
};

}  // namespace promptdistill
