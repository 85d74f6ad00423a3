#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One decoder layer with the hook in it: the forward pass that selection and truncation hang on.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/distill.hpp"
#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/core/token_frame.hpp"
#include "promptdistill/model/attention.hpp"
#include "promptdistill/model/layers.hpp"
#include "promptdistill/model/mlp.hpp"
#include "promptdistill/model/rope.hpp"

namespace promptdistill {

/// Where a stage selects in its layer. Both give the same result up to rounding.
enum class Placement {
  kBefore,  // before attention: only the kept tokens pay for the rest of the layer
  kAfter,   // after the layer, as the paper's authors do
};

/// What a stage did: the positions that stayed, row after row, and the scores they were chosen by.
struct StageRecord {
  std::int64_t layer;
  at::Tensor kept_positions;          // [sum of K] int64
  std::vector<std::int64_t> offsets;  // [B+1]
  std::vector<at::Tensor> scores;  // [B] of [T of row] float32; undefined where every token stayed
};

/// The tokens in flight and their rotary angles, which follow the positions.
struct LiveTokens {
  TokenFrame frame;
  RotaryAngles angles;
};

struct DecoderLayer {
  RmsNorm input_layernorm;
  Attention self_attn;
  RmsNorm post_attention_layernorm;
  Mlp mlp;

  /// Runs layer `index` for the live tokens and leaves in `live` those that go on.
  template <DistillPolicy Policy, CachePolicy Eviction>
  std::optional<StageRecord> forward(std::int64_t index,
                                     LiveTokens& live,
                                     KvCache& cache,
                                     const Policy& policy,
                                     Eviction& eviction,
                                     Placement placement,
                                     bool prefill) const {
    const bool selects = prefill && policy.selects_at(index);
    at::Tensor x = input_layernorm(live.frame.hidden());
    append(index, x, live, cache);

    std::optional<StageRecord> record;
    const TokenFrame entered = live.frame.with_hidden({});  // what a truncation indexes
    std::optional<Retention> kept;
    if (selects && placement == Placement::kBefore) {
      const auto tail_queries = [&](std::int64_t first, std::int64_t length) {
        return self_attn.queries(x.narrow(0, first, length), live.angles.narrow(first, length))
            .transpose(0, 1);
      };
      kept = select_stage(index, live, cache, policy, tail_queries, record);
      if (kept) x = x.index_select(0, kept->packed_indices());
    }

    const TokenFrame& frame = live.frame;
    const at::Tensor queries = self_attn.queries(x, live.angles);  // [S, H, D]
    x = at::Tensor();                                              // its memory is the MLP's next
    std::vector<at::Tensor> attended;
    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      attended.push_back(attend(frame.row(queries, b).transpose(0, 1),
                                frame.row(frame.positions(), b), cache.at(b, index),
                                self_attn.sliding_window));
    }
    at::Tensor hidden = frame.hidden() + self_attn.o_proj(attended.size() == 1 ? attended.front()
                                                                               : at::cat(attended));
    attended.clear();
    hidden.add_(mlp(post_attention_layernorm(hidden)));
    live.frame = frame.with_hidden(std::move(hidden));

    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      eviction.evict({b, index, frame.row(queries, b).transpose(0, 1),
                      frame.row(frame.positions(), b), prefill, true, cache.room()},
                     cache.at(b, index));
    }
    if (selects && placement == Placement::kAfter) {
      const auto tail_queries = [&](std::int64_t first, std::int64_t length) {
        return queries.narrow(0, first, length).transpose(0, 1);
      };
      kept = select_stage(index, live, cache, policy, tail_queries, record);
    }
    if (kept && policy.truncates_at(index)) {
      for (std::int64_t l = 0; l <= index; ++l) cache.keep(l, *kept, entered.positions());
    }
    return record;
  }

 private:
  void append(std::int64_t index,
              const at::Tensor& x,
              const LiveTokens& live,
              KvCache& cache) const {
    const at::Tensor keys = self_attn.keys(x, live.angles), values = self_attn.values(x);
    for (std::int64_t b = 0; b < live.frame.batch(); ++b) {
      cache.at(b, index).append(live.frame.row(keys, b), live.frame.row(values, b),
                                live.frame.row(live.frame.positions(), b), cache.room());
    }
  }

  /// Probes every row, keeps what the policy keeps and records it. tail_queries(first, length) ->
  /// [H, length, D] of packed rows.
  template <DistillPolicy Policy, class TailQueries>
  static std::optional<Retention> select_stage(std::int64_t index,
                                               LiveTokens& live,
                                               const KvCache& cache,
                                               const Policy& policy,
                                               const TailQueries& tail_queries,
                                               std::optional<StageRecord>& record) {
    std::vector<LayerProbe> probes;
    for (std::int64_t b = 0; b < live.frame.batch(); ++b) {
      const std::int64_t length = live.frame.length(b),
                         window = std::min(policy.window(index), length);
      const LayerCache& held = cache.at(b, index);
      TORCH_CHECK_VALUE(
          !held.per_head() && held.rows() >= length,
          "promptdistill: a stage selects from keys that are all in the cache; layer ", index,
          " lost some to a cache policy: put the stage before attention");
      const at::Tensor positions = live.frame.row(live.frame.positions(), b);
      probes.push_back({index, tail_queries(live.frame.offsets()[b + 1] - window, window),
                        held.keys().narrow(1, held.rows() - length, length),
                        positions.narrow(0, length - window, window), positions});
    }
    StageSelection chosen = select(policy, std::span<const LayerProbe>(probes));
    if (chosen.retention) {
      live.frame = live.frame.keep(*chosen.retention);
      live.angles = live.angles.index_select(chosen.retention->packed_indices());
    }
    record =
        StageRecord{index, live.frame.positions(), live.frame.offsets(), std::move(chosen.scores)};
    return std::move(chosen.retention);
  }
};

}  // namespace promptdistill
