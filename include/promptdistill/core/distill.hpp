#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The hook: asks a policy which tokens of each row stay at a layer. For packed frames and for
// padded [B, T, E] models.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/retention.hpp"

namespace promptdistill {

/// The policy that keeps every token.
struct NoDistill {
  void check(std::int64_t, std::int64_t) const {}
  bool selects_at(std::int64_t) const { return false; }
  bool truncates_at(std::int64_t) const { return false; }
  std::int64_t window(std::int64_t) const { return 1; }
  Selection select(const LayerProbe&) const { return {}; }
};
static_assert(DistillPolicy<NoDistill>);

/// The cache policy that evicts nothing.
struct KeepCache {
  bool prompt_only() const { return true; }
  void evict(const CacheProbe&, LayerCache&) const {}
};
static_assert(CachePolicy<KeepCache>);

/// What a stage chose, for every row of the batch.
struct StageSelection {
  std::optional<Retention> retention;  // empty: every token of every row stays
  std::vector<at::Tensor>
      scores;  // [B] of [T of row] float32; undefined entries where none were needed
};

/// Asks `policy` about each row. Throws what the policy throws, and c10::ValueError / IndexError
/// where its indices are not ascending, distinct, in range, or lack the last token.
template <DistillPolicy Policy>
StageSelection select(const Policy& policy, std::span<const LayerProbe> rows) {
  StageSelection result;
  std::vector<at::Tensor> indices;
  std::vector<std::int64_t> offsets{0}, lengths;
  bool all = true;
  for (const LayerProbe& probe : rows) {
    probe.check();
    Selection choice = policy.select(probe);
    all = all && !choice.indices.defined();
    indices.push_back(choice.indices.defined()
                          ? std::move(choice.indices)
                          : at::arange(probe.tokens(), probe.positions.options()));
    result.scores.push_back(std::move(choice.scores));
    offsets.push_back(offsets.back() + indices.back().numel());
    lengths.push_back(probe.tokens());
  }
  if (all) return result;
  Retention retention(indices.size() == 1 ? indices.front() : at::cat(indices), std::move(offsets),
                      std::move(lengths));
  for (std::int64_t b = 0; b < retention.batch(); ++b) {
    const std::int64_t last = retention.row(b)[-1].item<std::int64_t>();
    TORCH_CHECK_INDEX(last == retention.source_length(b) - 1,
                      "promptdistill: a policy must keep the last token of every row (",
                      retention.source_length(b) - 1, "), got ", last, " as the last of row ", b);
  }
  if (!retention.keeps_all()) result.retention = std::move(retention);
  return result;
}

/// The hook for a model with padded tensors, to be called after layer `layer` has run: which tokens
/// of each row go on. Empty where the policy does not select at this layer or keeps everything.
///
/// Then gather with it all that is indexed by token: hidden states and positions; and truncate()
/// the caches of layers 0..layer. All rows must have T tokens of their own (no padding among them).
template <DistillPolicy Policy>
std::optional<Retention> select(
    const Policy& policy,
    std::int64_t layer,
    const at::Tensor& queries,      // [B, H, Tq, D] after RoPE; the last window(layer) are used
    const at::Tensor& keys,         // [B, G, T, D] after RoPE, of the T live tokens
    const at::Tensor& positions) {  // [B, T] or [T] int64
  if (!policy.selects_at(layer)) return std::nullopt;
  TORCH_CHECK_VALUE(queries.dim() == 4 && keys.dim() == 4 && queries.size(0) == keys.size(0),
                    "promptdistill: queries must be [B, H, Tq, D] and keys [B, G, T, D], got ",
                    queries.sizes(), " and ", keys.sizes());
  const std::int64_t batch = keys.size(0), tokens = keys.size(2);
  TORCH_CHECK_VALUE(
      (positions.dim() == 1 || (positions.dim() == 2 && positions.size(0) == batch)) &&
          positions.size(-1) == tokens,
      "promptdistill: positions must be [B, T] = [", batch, ", ", tokens, "] or [T], got ",
      positions.sizes());
  const std::int64_t window = std::min<std::int64_t>(policy.window(layer), tokens);
  TORCH_CHECK_VALUE(window >= 1 && queries.size(2) >= window,
                    "promptdistill: the policy scores with the last ", window, " queries, got ",
                    queries.size(2));
  const at::Tensor row_positions = positions.expand({batch, tokens});
  std::vector<LayerProbe> rows;
  for (std::int64_t b = 0; b < batch; ++b) {
    rows.push_back({layer, queries[b].narrow(1, queries.size(2) - window, window), keys[b],
                    row_positions[b].narrow(0, tokens - window, window), row_positions[b]});
  }
  return select(policy, std::span<const LayerProbe>(rows)).retention;
}

/// Cuts the caches of layers 0..layer to what a stage kept, where the policy truncates at it; else
/// does nothing. `positions` as they were passed to select, before they are gathered.
template <DistillPolicy Policy, TruncatableCache Cache>
void truncate(const Policy& policy,
              std::int64_t layer,
              const Retention& kept,
              const at::Tensor& positions,  // [S], [B, T] or [T] int64
              Cache& cache) {
  if (!policy.truncates_at(layer)) return;
  const at::Tensor flat =
      positions.dim() == 1 && kept.batch() > 1 && positions.numel() == kept.source_lengths().front()
          ? positions.repeat({kept.batch()})
          : positions.flatten();
  for (std::int64_t l = 0; l <= layer; ++l) cache.keep(l, kept, flat);
}

}  // namespace promptdistill
