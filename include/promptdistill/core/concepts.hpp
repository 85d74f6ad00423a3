#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The contracts of what users may bring: scorers, selectors, distill policies, caches
// and cache policies.

#include <ATen/ATen.h>

#include <concepts>
#include <cstdint>
#include <optional>

#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/core/layer_probe.hpp"
#include "promptdistill/core/retention.hpp"

namespace promptdistill {

/// What a policy decides about one row at one stage.
struct Selection {
  at::Tensor indices;  // [K] int64, ascending; undefined: every token stays and nothing is gathered
  at::Tensor scores;   // [T] float32, what they were chosen by; undefined where no score was needed
};

/// A raw scorer: one score per query head and token.
///
/// tail(): the last tokens that are always kept and whose queries score; at least 1.
/// head_scores(probe): [H, T] float32. The probe holds min(tail(), T) queries.
template <class T>
concept HeadScorer = requires(const T& scorer, const LayerProbe& probe) {
  { scorer.tail() } -> std::convertible_to<std::int64_t>;
  { scorer.head_scores(probe) } -> std::convertible_to<at::Tensor>;
};

/// A scorer: one score per token.
///
/// tail(): as for HeadScorer. score(probe): [T] float32, higher stays; the tail's own scores are
/// ignored. check_heads(heads): throws if the scorer names a query head that a model with `heads`
/// of them lacks.
template <class T>
concept Scorer = requires(const T& scorer, const LayerProbe& probe, std::int64_t heads) {
  { scorer.tail() } -> std::convertible_to<std::int64_t>;
  { scorer.score(probe) } -> std::convertible_to<at::Tensor>;
  scorer.check_heads(heads);
};

/// A selector: which tokens stay, given their scores.
///
/// candidates(tokens, tail): how many of `tokens` tokens a budget is spent on (the others always
/// stay). select(scores [T] float32, k, tail): ascending int64 indices [K] that hold the last
/// min(tail, T) tokens; 1 <= k < candidates.
template <class T>
concept Selector = requires(const T& selector, const at::Tensor& scores, std::int64_t number) {
  { selector.candidates(number, number) } -> std::convertible_to<std::int64_t>;
  { selector.select(scores, number, number) } -> std::convertible_to<at::Tensor>;
};

/// A distill policy: at which layers tokens are selected, and which. Immutable, shareable between
/// threads.
///
/// check(layers, heads): called on entry; throws where the policy does not fit a model of that
/// size. selects_at(layer), truncates_at(layer): whether tokens are selected at a layer, and the
/// caches up to it cut. window(layer): how many last queries the probe must hold there (fewer if
/// the row is shorter). select(probe): once per row and selecting layer. Cost and dtype are its own
/// matter; it must not change the probe.
template <class T>
concept DistillPolicy = requires(const T& policy, std::int64_t layer, const LayerProbe& probe) {
  policy.check(layer, layer);
  { policy.selects_at(layer) } -> std::convertible_to<bool>;
  { policy.truncates_at(layer) } -> std::convertible_to<bool>;
  { policy.window(layer) } -> std::convertible_to<std::int64_t>;
  { policy.select(probe) } -> std::same_as<Selection>;
};

/// A cache that stages may cut: KvCache, or one of your own behind a method of this name.
///
/// keep(layer, kept, positions): of the layer's rows that belong to the tokens `kept` selected
/// from, leave those it retains, in their order; `positions` [S] int64 names the former (the
/// positions that were passed to select, flattened), for caches that hold other tokens as well. A
/// row keeps the position it has. Called once per layer, for all rows of the batch.
template <class T>
concept TruncatableCache =
    requires(T& cache, std::int64_t layer, const Retention& kept, const at::Tensor& positions) {
  cache.keep(layer, kept, positions);
};
static_assert(TruncatableCache<KvCache>);

/// What a cache policy sees after a layer's attention: the tokens just run and the layer's cache
/// with them in it. Views, valid for the call.
struct CacheProbe {
  std::int64_t row;
  std::int64_t layer;
  at::Tensor queries;          // [H, Tq, D], after RoPE
  at::Tensor query_positions;  // [Tq] int64, ascending
  bool prefill;                // a prompt; false for tokens appended over a cache
  bool complete;               // the last of them: a prompt may come in several chunks
  std::int64_t room;           // to pass to LayerCache::keep
  std::optional<std::int64_t> sliding_window = {};  // tokens that the layer's attention sees
};

/// A cache policy: may evict rows of a layer's cache once the layer has run (SnapKV, H2O,
/// StreamingLLM).
///
/// evict(probe, cache): called once per row, layer and chunk, in prefill and in decode, after the
/// layer's attention has read the cache: what is evicted is missing from the next call on. The
/// queries' own keys are in the cache, the last query's as its newest row; after a stage that
/// selects before attention, the layer's cache holds the dropped tokens' keys too. While
/// probe.complete is false, later chunks of the prompt have yet to read the cache: a policy may
/// look and take notes, but rows evicted then change the prompt's own attention. The last chunk of
/// a prompt holds min(tokens, chunk) tokens; the remainder comes first.
///
/// It may call cache.keep(indices, probe.room), once, with indices [K] for all heads or [G, K], a
/// choice per KV head; positions go along, and the newest row must stay. It must not append. Once
/// heads hold different rows they do for good, and a stage can no longer select or truncate there.
/// State of a request (H2O's sums) is the policy's own, which is why it is taken by reference: such
/// a policy serves one cache, and must start anew where a fresh prompt comes. What it throws ends
/// the run; the cache is then to be thrown away.
///
/// It may have `bool prompt_only() const`: true says that evict does nothing in decode, which may
/// then run without asking it.
template <class T>
concept CachePolicy = requires(T& policy, const CacheProbe& probe, LayerCache& cache) {
  policy.evict(probe, cache);
};

/// Whether a cache policy has no part in decode.
template <CachePolicy Policy>
bool evicts_prompt_only(const Policy& policy) {
  if constexpr (requires {
                  { policy.prompt_only() } -> std::convertible_to<bool>;
                }) {
    return policy.prompt_only();
  } else {
    return false;
  }
}

}  // namespace promptdistill
