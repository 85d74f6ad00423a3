#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The paper's scores over a window: raw attention logits of the last W queries.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/policy/attention_scores.hpp"

namespace promptdistill {

/// s_j = mean over the last W queries of q_w . k_j / sqrt(D), no softmax, averaged over the query
/// heads: LastQueryScorer where W is 1. Float32. Only tokens before the window have a score that
/// means something; those in it always stay. A row shorter than W scores with all its queries.
class RawWindowScorer {
 public:
  explicit RawWindowScorer(std::int64_t window = 16) : window_(window) {
    TORCH_CHECK_VALUE(window >= 1, "promptdistill: a window must have at least 1 query, got ",
                      window);
  }

  std::int64_t tail() const { return window_; }
  void check_heads(std::int64_t) const {}

  at::Tensor head_scores(const LayerProbe& probe) const {  // [H, T]
    return detail::attention_logits(probe).mean(1);
  }

  at::Tensor score(const LayerProbe& probe) const { return head_scores(probe).mean(0); }  // [T]

 private:
  std::int64_t window_;
};
static_assert(HeadScorer<RawWindowScorer> && Scorer<RawWindowScorer>);

}  // namespace promptdistill
