#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Lets a scorer's queries end before the prompt does: at the question's last word, say, and not at
// the chat template's last marker.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

/// `Inner` as if the last `count` tokens of a row did not score; they stay, as all scoring ones do.
/// A row of no more tokens is scored by its first one.
template <HeadScorer Inner>
class SkipLast {
 public:
  explicit SkipLast(Inner inner = Inner(), std::int64_t count = 0)
      : inner_(std::move(inner)), count_(count) {
    TORCH_CHECK_VALUE(count >= 0,
                      "promptdistill: the number of last tokens that do not score must not be "
                      "negative, got ",
                      count);
  }

  std::int64_t tail() const { return inner_.tail() + count_; }
  void check_heads(std::int64_t heads) const { inner_.check_heads(heads); }

  at::Tensor head_scores(const LayerProbe& probe) const {  // [H, T]
    const std::int64_t left = std::max<std::int64_t>(probe.queries.size(1) - count_, 1);
    LayerProbe earlier = probe;
    earlier.queries = probe.queries.narrow(1, 0, left);
    earlier.query_positions = probe.query_positions.narrow(0, 0, left);
    return inner_.head_scores(earlier);
  }

  at::Tensor score(const LayerProbe& probe) const { return head_scores(probe).mean(0); }  // [T]

 private:
  Inner inner_;
  std::int64_t count_;
};

}  // namespace promptdistill
