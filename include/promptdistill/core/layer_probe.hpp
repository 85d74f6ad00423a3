#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a layer shows a policy: the last queries and all keys of one row.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>

namespace promptdistill {

/// Views of one row (one prompt) at one layer, valid for the call they are passed to. No copies are
/// made to build one.
///
/// Any floating dtype; a policy computes in float32. Keys are never expanded to the query heads:
/// query head h reads KV head h / (H / G).
struct LayerProbe {
  std::int64_t layer;
  at::Tensor queries;          // [H, W, D], the last W live tokens' queries after RoPE, W >= 1
  at::Tensor keys;             // [G, T, D], every live token's key after RoPE
  at::Tensor query_positions;  // [W] int64
  at::Tensor positions;        // [T] int64, ascending

  std::int64_t tokens() const { return keys.size(1); }
  std::int64_t query_heads() const { return queries.size(0); }

  /// Throws c10::ValueError where a shape does not fit the others.
  void check() const {
    TORCH_CHECK_VALUE(queries.defined() && keys.defined() && queries.dim() == 3 && keys.dim() == 3,
                      "promptdistill: a probe's queries must be [H, W, D] and its keys [G, T, D]");
    TORCH_CHECK_VALUE(
        queries.size(2) == keys.size(2) && keys.size(0) > 0 && queries.size(0) % keys.size(0) == 0,
        "promptdistill: queries and keys must share the head size and H must be a multiple of G, "
        "got queries ",
        queries.sizes(), " and keys ", keys.sizes());
    TORCH_CHECK_VALUE(queries.size(1) >= 1 && queries.size(1) <= keys.size(1),
                      "promptdistill: a probe must hold between 1 and T = ", keys.size(1),
                      " queries, got ", queries.size(1));
    TORCH_CHECK_VALUE(positions.dim() == 1 && positions.numel() == keys.size(1) &&
                          query_positions.dim() == 1 && query_positions.numel() == queries.size(1),
                      "promptdistill: a probe must give the position of every key and query");
    TORCH_CHECK_VALUE(
        positions.scalar_type() == at::kLong && query_positions.scalar_type() == at::kLong,
        "promptdistill: positions must be int64");
  }
};

}  // namespace promptdistill
