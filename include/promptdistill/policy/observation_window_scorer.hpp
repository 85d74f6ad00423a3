#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Softmax attention of the last W queries, summed: SnapKV's observation window as a scorer of
// hidden states.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <limits>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/policy/attention_scores.hpp"

namespace promptdistill {

/// s_j = sum over the last W queries of softmax_j(q_w . k_j / sqrt(D)), causal by position,
/// averaged over the query heads. Float32. A row shorter than W scores with all its queries. The
/// window idea: SnapKV, arXiv 2404.14469, section 4.
class ObservationWindowScorer {
 public:
  explicit ObservationWindowScorer(std::int64_t window = 16) : window_(window) {
    TORCH_CHECK_VALUE(window >= 1,
                      "promptdistill: an observation window must have at least 1 query, got ",
                      window);
  }

  std::int64_t tail() const { return window_; }
  void check_heads(std::int64_t) const {}

  at::Tensor head_scores(const LayerProbe& probe) const {  // [H, T]
    const at::Tensor hidden =
        probe.positions.unsqueeze(0).gt(probe.query_positions.unsqueeze(1));  // [W, T]
    return detail::attention_logits(probe)
        .masked_fill_(hidden, -std::numeric_limits<float>::infinity())
        .softmax(-1)
        .sum(1);
  }

  at::Tensor score(const LayerProbe& probe) const { return head_scores(probe).mean(0); }  // [T]

 private:
  std::int64_t window_;
};
static_assert(HeadScorer<ObservationWindowScorer> && Scorer<ObservationWindowScorer>);

}  // namespace promptdistill
