#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A scorer and a selector of one's own. No base class and no registration: types with the methods
// that promptdistill::Scorer and promptdistill::Selector name.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "promptdistill/promptdistill.hpp"

namespace custom {

/// A token is worth what its most attentive head makes of it: the largest attention weight that the
/// last query's heads give it, where the paper takes the mean of their logits.
struct LoudestHead {
  std::int64_t tail() const { return 1; }
  void check_heads(std::int64_t) const {}
  at::Tensor score(const promptdistill::LayerProbe& probe) const {  // [T]
    const std::int64_t groups = probe.keys.size(0), size = probe.keys.size(2);
    const at::Tensor last = probe.queries.select(1, probe.queries.size(1) - 1).to(at::kFloat);
    const at::Tensor logits = at::matmul(last.view({groups, -1, size}),  // [G, H / G, T]
                                         probe.keys.to(at::kFloat).transpose(1, 2));
    return std::get<0>(
        (logits / std::sqrt(static_cast<double>(size))).softmax(-1).flatten(0, 1).max(0));
  }
};

/// Keeps whole blocks of neighbouring tokens, as many as the budget pays for and at least one:
/// those with the highest score in them. A paged cache frees whole pages that way.
struct WholeBlocks {
  std::int64_t block = 16;

  std::int64_t candidates(std::int64_t tokens, std::int64_t tail) const {
    return std::max<std::int64_t>(tokens - tail, 0) / block * block;  // the rest always stays
  }
  at::Tensor select(const at::Tensor& scores, std::int64_t k, std::int64_t tail) const {  // [K]
    const std::int64_t end = candidates(scores.numel(), tail),
                       count = std::max<std::int64_t>(k / block, 1);
    const at::Tensor best = std::get<0>(scores.narrow(0, 0, end).view({-1, block}).max(1));
    const at::Tensor blocks = std::get<0>(std::get<1>(best.topk(count)).sort());
    const at::Tensor chosen = blocks.unsqueeze(1) * block + at::arange(block, blocks.options());
    return at::cat({chosen.flatten(), at::arange(end, scores.numel(), blocks.options())});
  }
};

}  // namespace custom
