#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The k best tokens between two protected ends.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>

#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

/// Keeps the last `tail` tokens or, where they are more, the last `protect_last` (a question that
/// is longer than what scores), the first `protect_first` (attention sinks, a system prompt) and
/// the k highest-scoring between them, in their order. k counts neither end.
class TopK {
 public:
  explicit TopK(std::int64_t protect_first = 0, std::int64_t protect_last = 0)
      : protect_first_(protect_first), protect_last_(protect_last) {
    const auto check = [](std::int64_t count, const char* which) {
      TORCH_CHECK_VALUE(count >= 0, "promptdistill: the number of protected ", which,
                        " tokens must not be negative, got ", count);
    };
    check(protect_first, "first");
    check(protect_last, "last");
  }

  std::int64_t candidates(std::int64_t tokens, std::int64_t tail) const {
    return end(tokens, tail) - begin(tokens, tail);
  }

  at::Tensor select(const at::Tensor& scores,
                    std::int64_t k,
                    std::int64_t tail) const {  // [T] -> [K]
    const std::int64_t tokens = scores.numel(), first = begin(tokens, tail),
                       last = end(tokens, tail);
    const auto options = scores.options().dtype(at::kLong);
    const at::Tensor best =
        std::get<1>(scores.narrow(0, first, last - first).topk(std::min(k, last - first)))
            .add_(first);
    return at::cat(
        {at::arange(first, options), std::get<0>(best.sort()), at::arange(last, tokens, options)});
  }

 private:
  std::int64_t end(std::int64_t tokens, std::int64_t tail) const {
    const std::int64_t kept = std::max(tail, protect_last_);
    return tokens > kept ? tokens - kept : 0;
  }
  std::int64_t begin(std::int64_t tokens, std::int64_t tail) const {
    return std::min(protect_first_, end(tokens, tail));
  }

  std::int64_t protect_first_, protect_last_;
};
static_assert(Selector<TopK>);

}  // namespace promptdistill
