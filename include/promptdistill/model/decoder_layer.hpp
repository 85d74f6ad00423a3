#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One decoder layer in its two halves, between which a stage may select.

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/core/token_frame.hpp"
#include "promptdistill/model/attention.hpp"
#include "promptdistill/model/layers.hpp"
#include "promptdistill/model/mlp.hpp"
#include "promptdistill/model/rope.hpp"

namespace promptdistill {

/// Tokens on their way through the layers: all live ones of a batch, or a chunk of them.
struct LiveTokens {
  TokenFrame frame;
  RotaryAngles angles;         // of the frame's tokens
  std::int64_t first_row = 0;  // the row of the cache that the frame's first row is

  LayerCache& cache_of(KvCache& cache, std::int64_t row, std::int64_t layer) const {
    return cache.at(first_row + row, layer);
  }
};

struct DecoderLayer {
  RmsNorm input_layernorm;
  Attention self_attn;
  RmsNorm post_attention_layernorm;
  Mlp mlp;

  /// The first half: keys and values of the tokens, whose normed hidden states are `x`, go to the
  /// cache of layer `index`. Storage that must grow gets `room` rows beyond them, row by row.
  void append(std::int64_t index,
              const at::Tensor& x,  // [S, E]
              const LiveTokens& live,
              KvCache& cache,
              const std::vector<std::int64_t>& room) const {  // [B of the frame]
    const TokenFrame& frame = live.frame;
    const at::Tensor keys = self_attn.keys(x, live.angles), values = self_attn.values(x);
    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      live.cache_of(cache, b, index)
          .append(frame.row(keys, b), frame.row(values, b), frame.row(frame.positions(), b),
                  room[static_cast<std::size_t>(b)]);
    }
  }

  /// The second half, for tokens whose keys and values are in the cache: attention over it and the
  /// MLP. Leaves the layer's output in the frame and returns the queries after RoPE. `standing`: of
  /// every row's tokens in its cache.
  at::Tensor attend(std::int64_t index,
                    at::Tensor x,  // [S, E]
                    LiveTokens& live,
                    KvCache& cache,
                    QueryRows standing) const {  // -> [S, H, D]
    const TokenFrame& frame = live.frame;
    at::Tensor queries = self_attn.queries(x, live.angles);
    x = at::Tensor();  // its memory is the MLP's next
    std::vector<at::Tensor> attended;
    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      attended.push_back(promptdistill::attend(
          frame.row(queries, b).transpose(0, 1), frame.row(frame.positions(), b),
          live.cache_of(cache, b, index), self_attn.sliding_window, standing));
    }
    at::Tensor all = attended.size() == 1 ? attended.front() : at::cat(attended);
    attended.clear();
    live.frame = frame.with_hidden(finish(frame.hidden(), std::move(all)));
    return queries;
  }

  /// What follows attention: its projection, the MLP, and what went round each.
  at::Tensor finish(const at::Tensor& hidden,     // [S, E]
                    at::Tensor attended) const {  // [S, H * D] -> [S, E]
    at::Tensor out = hidden + self_attn.o_proj(attended);
    attended = at::Tensor();  // not needed beside what follows
    return out.add_(mlp(post_attention_layernorm(out)));
  }
};

}  // namespace promptdistill
