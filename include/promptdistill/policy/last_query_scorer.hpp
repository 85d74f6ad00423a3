#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The paper's scorer: raw attention logits of the prompt's last query.

#include <ATen/ATen.h>

#include <cstdint>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/policy/attention_scores.hpp"

namespace promptdistill {

/// s_j = q_last . k_j / sqrt(D), no softmax, averaged over the query heads. Float32 whatever the
/// model's dtype (the authors score in the model's, where bfloat16 scores tie often). Source: arXiv
/// 2503.23274, section 3.
struct LastQueryScorer {
  std::int64_t tail() const { return 1; }
  void check_heads(std::int64_t) const {}

  at::Tensor head_scores(const LayerProbe& probe) const {  // [H, T]
    LayerProbe last = probe;
    last.queries = probe.queries.narrow(1, probe.queries.size(1) - 1, 1);
    return detail::attention_logits(last).squeeze(1);
  }

  at::Tensor score(const LayerProbe& probe) const { return head_scores(probe).mean(0); }  // [T]
};
static_assert(HeadScorer<LastQueryScorer> && Scorer<LastQueryScorer>);

}  // namespace promptdistill
