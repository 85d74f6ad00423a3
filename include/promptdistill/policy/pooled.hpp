#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Smooths scores over neighbouring tokens, so that a token's neighbours come along.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <utility>

#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

/// avg_pool1d of the inner scores with an odd kernel, stride 1, zero padding counted; the tail's
/// scores are zeroed before it. A kernel of 1 only zeroes the tail. The paper's kernel is 5 (its
/// code; arXiv 2503.23274).
template <Scorer Inner>
class Pooled {
 public:
  explicit Pooled(Inner inner = Inner(), std::int64_t kernel = 5)
      : inner_(std::move(inner)), kernel_(kernel) {
    TORCH_CHECK_VALUE(kernel >= 1 && kernel % 2 == 1,
                      "promptdistill: a pooling kernel must be odd and at least 1, got ", kernel);
  }

  std::int64_t tail() const { return inner_.tail(); }
  void check_heads(std::int64_t heads) const { inner_.check_heads(heads); }

  at::Tensor score(const LayerProbe& probe) const {  // [T]
    at::Tensor scores = inner_.score(probe).clone();
    const std::int64_t tokens = scores.numel(),
                       tail = std::min<std::int64_t>(inner_.tail(), tokens);
    scores.narrow(0, tokens - tail, tail).zero_();
    if (kernel_ == 1) return scores;
    return at::avg_pool1d(scores.view({1, 1, tokens}), kernel_, 1, kernel_ / 2).view({tokens});
  }

 private:
  Inner inner_;
  std::int64_t kernel_;
};

}  // namespace promptdistill
