#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// LibTorch's flash attention with its log-sum-exp, by which attention over parts of a cache is
// merged, a chunk and what came before it among them: calls of a kernel instead of a mask.

#include <ATen/ATen.h>
#if __has_include(<torch/version.h>)
#include <torch/version.h>
#endif

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "promptdistill/core/layer_cache.hpp"

// The operations are private to LibTorch: only versions that they were tried with are trusted with
// them, others get the mask. (On the CPU some before 2.9 take fewer KV heads than query heads and
// read the wrong ones.)
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 13
#define PROMPTDISTILL_HAS_MERGED_ATTENTION 1
#endif
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 11
#define PROMPTDISTILL_HAS_CUDA_FLASH_ATTENTION 1
#endif

namespace promptdistill::detail {

#ifdef PROMPTDISTILL_HAS_CUDA_FLASH_ATTENTION
/// Whether a CUDA device's generation (Ampere and newer) and LibTorch's build have the kernel:
/// tried once per device, as both would have to be asked of headers that need CUDA's.
inline bool runs_flash_attention(at::Device device) {
  static std::mutex mutex;
  static std::map<at::DeviceIndex, bool> known;
  const std::lock_guard lock(mutex);
  const auto [entry, fresh] = known.try_emplace(device.index(), true);
  if (fresh) {
    const at::Tensor one =
        at::zeros({1, 1, 1, 64}, at::TensorOptions().dtype(at::kHalf).device(device));
    try {
      at::_scaled_dot_product_flash_attention(one, one, one);
    } catch (const c10::Error&) {
      entry->second = false;
    }
  }
  return entry->second;
}
#endif

/// Whether a CUDA device has the kernel for tensors like this one and heads of that size.
inline bool has_flash_attention(const at::Tensor& like, std::int64_t head_size) {
#ifdef PROMPTDISTILL_HAS_CUDA_FLASH_ATTENTION
  return like.is_cuda() && c10::isReducedFloatingType(like.scalar_type()) && head_size % 8 == 0 &&
         head_size <= 256 && runs_flash_attention(like.device());
#else
  static_cast<void>(like);
  static_cast<void>(head_size);
  return false;
#endif
}

struct FlashAttention {
  at::Tensor out;          // [H, Tq, D]
  at::Tensor log_sum_exp;  // [H, Tq] float32
};

/// softmax(q . k / sqrt(D)) v, where causal of as many queries as rows; nothing where this
/// LibTorch, device, dtype or head size has no such kernel.
inline std::optional<FlashAttention> flash_attention(
    [[maybe_unused]] const at::Tensor& queries,  // [H, Tq, D]
    [[maybe_unused]] const at::Tensor& keys,     // [G, rows, D]
    [[maybe_unused]] const at::Tensor& values,   // [G, rows, D]
    [[maybe_unused]] bool causal) {
#ifdef PROMPTDISTILL_HAS_CUDA_FLASH_ATTENTION
  if (has_flash_attention(queries, queries.size(2))) {
    const auto result = at::_scaled_dot_product_flash_attention(
        queries.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), 0.0, causal);
    return FlashAttention{std::get<0>(result).squeeze(0), std::get<1>(result).squeeze(0)};
  }
#endif
#ifdef PROMPTDISTILL_HAS_MERGED_ATTENTION
  if (queries.is_cpu()) {
    const auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
        queries.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), 0.0, causal);
    return FlashAttention{out.squeeze(0), log_sum_exp.squeeze(0)};
  }
#endif
  return std::nullopt;
}

/// softmax(q . k / sqrt(D)) v over all rows of all parts; `causal`: the last part's rows are the
/// queries' own tokens, causal among themselves. Nothing where there is no flash attention. With
/// o and l the output and log-sum-exp of each part: (o1 e^l1 + o2 e^l2) / (e^l1 + e^l2), exact up
/// to the rounding of the parts to the dtype.
inline std::optional<at::Tensor> attend_merged(const at::Tensor& queries,         // [H, Tq, D]
                                               std::span<const CacheRows> parts,  // [G, rows, D]
                                               bool causal) {                     // -> [H, Tq, D]
  at::Tensor out, log_sum_exp;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const CacheRows rows = parts[i].to(queries.scalar_type());
    const auto part =
        flash_attention(queries, rows.keys, rows.values, causal && i + 1 == parts.size());
    if (!part) return std::nullopt;
    if (parts.size() == 1) return part->out;
    const at::Tensor values = part->out.to(at::kFloat);
    if (i == 0) {
      out = values;
      log_sum_exp = part->log_sum_exp;
      continue;
    }
    const at::Tensor share = at::sigmoid(part->log_sum_exp - log_sum_exp).unsqueeze(-1);
    out = at::lerp(out, values, share);
    log_sum_exp = at::logaddexp(log_sum_exp, part->log_sum_exp);
  }
  return out.to(queries.scalar_type());
}

}  // namespace promptdistill::detail
