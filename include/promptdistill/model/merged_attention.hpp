#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Attention of a chunk over what came before it and over itself, merged by log-sum-exp: two calls
// of LibTorch's kernel instead of a mask.

#include <ATen/ATen.h>
#if __has_include(<torch/version.h>)
#include <torch/version.h>
#endif

#include <cstdint>
#include <optional>
#include <tuple>

// The operation is private to LibTorch: only versions that it was tried with are trusted with it,
// others get the mask. (Some before 2.9 take fewer KV heads than query heads and read the wrong
// ones.)
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 13
#define PROMPTDISTILL_HAS_MERGED_ATTENTION 1
#endif

namespace promptdistill::detail {

/// softmax(q . k / sqrt(D)) v of the tokens of the last Tq rows, causal among themselves; nothing
/// where this LibTorch or device cannot. With o and l the output and log-sum-exp of each part:
/// (o1 e^l1 + o2 e^l2) / (e^l1 + e^l2), exact up to the rounding of the parts to the dtype.
inline std::optional<at::Tensor> attend_merged(
    [[maybe_unused]] const at::Tensor& queries,   // [H, Tq, D]
    [[maybe_unused]] const at::Tensor& keys,      // [G, rows, D], rows > Tq
    [[maybe_unused]] const at::Tensor& values) {  // -> [H, Tq, D]
#ifdef PROMPTDISTILL_HAS_MERGED_ATTENTION
  if (!queries.is_cpu()) return std::nullopt;
  const std::int64_t count = queries.size(1), past = keys.size(1) - count;
  const at::Tensor q = queries.unsqueeze(0);
  const auto part = [&](std::int64_t first, std::int64_t rows, bool causal) {
    return at::_scaled_dot_product_flash_attention_for_cpu(
        q, keys.narrow(1, first, rows).unsqueeze(0), values.narrow(1, first, rows).unsqueeze(0),
        0.0, causal);
  };
  const auto [before, before_sum] = part(0, past, false);  // [1, H, Tq, D], [1, H, Tq] float32
  const auto [own, own_sum] = part(past, count, true);
  const at::Tensor share = at::sigmoid(own_sum - before_sum).unsqueeze(-1);  // of the chunk
  return at::lerp(before.to(at::kFloat), own.to(at::kFloat), share)
      .to(queries.scalar_type())
      .squeeze(0);
#else
  return std::nullopt;
#endif
}

}  // namespace promptdistill::detail
