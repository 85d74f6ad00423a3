#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// q . k / sqrt(D) of a probe in float32, with KV heads shared by their query heads and never
// expanded.

#include <ATen/ATen.h>

#include <cmath>

#include "promptdistill/core/layer_probe.hpp"

namespace promptdistill::detail {

/// Logits of every query head, query and key. One batched product per KV head.
inline at::Tensor attention_logits(const LayerProbe& probe) {  // [H, W, T] float32
  const std::int64_t heads = probe.queries.size(0), window = probe.queries.size(1),
                     size = probe.queries.size(2);
  const std::int64_t groups = probe.keys.size(0);
  const at::Tensor queries =
      probe.queries.to(at::kFloat).reshape({groups, heads / groups * window, size});
  const at::Tensor keys = probe.keys.to(at::kFloat);
  return at::bmm(queries, keys.transpose(1, 2))
      .div_(std::sqrt(static_cast<double>(size)))
      .view({heads, window, -1});
}

}  // namespace promptdistill::detail
