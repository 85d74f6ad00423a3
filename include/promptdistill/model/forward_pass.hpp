#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The pass through all layers that selection, truncation and eviction hang on, whole or in chunks.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/distill.hpp"
#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/core/schedule.hpp"
#include "promptdistill/core/token_frame.hpp"
#include "promptdistill/model/decoder_layer.hpp"

namespace promptdistill {

/// How far a prefill is: `layer` of `layers` is about to run on `tokens` live tokens, which are
/// chunk `chunk` of `chunks` between two stages.
struct PrefillProgress {
  std::int64_t layer;
  std::int64_t layers;
  std::int64_t tokens;
  std::int64_t chunk;
  std::int64_t chunks;
};

struct PrefillOptions {
  Placement placement = Placement::kBefore;
  /// Tokens that run through the layers between two stages at once; without a number all of them.
  /// What a layer needs besides the cache is then bounded by the chunk; in front of a stage the
  /// hidden states of all live tokens wait, E elements each. Same result up to rounding. Rows of a
  /// batch that fit a chunk together run together; of a longer one the remainder comes first.
  std::optional<std::int64_t> prefill_chunk;
  /// Tokens that may follow the prompt, of this and all further turns; without a number the cache's
  /// room. Rotary embeddings that depend on the request's length (longrope, dynamic) are chosen by
  /// the prompt and these; with others it has no effect.
  std::optional<std::int64_t> max_new_tokens;
  /// Called before every layer of every chunk; may throw to stop. The model is as it was, the cache
  /// is then to be thrown away.
  std::function<void(const PrefillProgress&)> progress;
};

/// What a stage did: the positions that stayed, row after row, and the scores they were chosen by.
struct StageRecord {
  std::int64_t layer;
  at::Tensor kept_positions;          // [sum of K] int64
  std::vector<std::int64_t> offsets;  // [B+1]
  std::vector<at::Tensor> scores;  // [B] of [T of row] float32; undefined where every token stayed
};

namespace detail {

/// A part of the live tokens: whole rows, or some tokens of one.
struct Chunk {
  std::int64_t first_row;
  std::vector<std::int64_t> lengths;  // tokens of each of its rows
  std::int64_t begin;                 // packed
  std::int64_t end;
  std::int64_t rest;  // tokens of its last row that are still to come
};

/// Cuts packed rows into chunks of at most `size` tokens; of a row that is longer the remainder
/// comes first, so that its last tokens, which score, stand in a whole chunk.
inline std::vector<Chunk> make_chunks(const std::vector<std::int64_t>& lengths,
                                      std::optional<std::int64_t> size) {
  std::vector<Chunk> chunks;
  std::int64_t begin = 0;
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    std::int64_t left = lengths[b];
    if (!chunks.empty() && (!size || begin + left - chunks.back().begin <= *size)) {
      chunks.back().lengths.push_back(left);
      begin = chunks.back().end = begin + left;
      continue;
    }
    std::int64_t piece = size && left > *size && left % *size > 0
                             ? left % *size
                             : std::min(left, size.value_or(left));
    while (left > 0) {
      left -= piece;
      chunks.push_back({static_cast<std::int64_t>(b), {piece}, begin, begin + piece, left});
      begin += piece;
      piece = std::min(left, size.value_or(left));
    }
  }
  return chunks;
}

/// One pass of tokens through all layers. A segment, the layers between two stages, is run chunk by
/// chunk; a stage selects among all live tokens.
template <DistillPolicy Policy, CachePolicy Eviction>
class ForwardPass {
 public:
  struct Model {
    const std::vector<DecoderLayer>& layers;
    std::function<at::Tensor(std::int64_t begin, std::int64_t end)> embed;  // packed -> [S, E]
    std::function<RotaryAngles(const TokenFrame&, std::int64_t first_row)> angles_of;
  };

  /// The layers before `first` have run and left the frame's hidden states; where that is the first
  /// of all, the frame has none. `appended`: all tokens are in the cache of layer `first` already.
  ForwardPass(Model model,
              TokenFrame frame,
              std::int64_t first,
              bool appended,
              KvCache& cache,
              const Policy& policy,
              Eviction& eviction,
              const PrefillOptions& options,
              bool prefill)
      : model_(std::move(model)),
        frame_(frame.with_hidden({})),
        first_(first),
        appended_(appended),
        hidden_(frame.hidden()),
        borrowed_(hidden_.defined()),
        cache_(cache),
        policy_(policy),
        eviction_(eviction),
        options_(options),
        prefill_(prefill) {
    TORCH_CHECK_VALUE(!options.prefill_chunk || *options.prefill_chunk >= 1,
                      "promptdistill: a prefill chunk must be at least 1 token, got ",
                      options.prefill_chunk.value_or(0));
  }

  /// Runs the layers before `layer`, not the last one, for every token and returns the hidden
  /// states.
  at::Tensor run_to(std::int64_t layer) {  // [S, E]
    run_segment(first_, layer, appended_);
    return hidden_;
  }

  /// The first half of layer `first`, for every token: keys and values to its cache.
  void append_first() {
    if (!appended_) append_all(first_);
    appended_ = true;
  }

  /// The hidden states of every row's last token after the last layer.
  at::Tensor run() {  // [B, E]
    const auto layers = static_cast<std::int64_t>(model_.layers.size());
    std::int64_t from = first_;
    bool appended = appended_;  // layer `from` has the tokens in its cache already
    for (std::int64_t l = first_; prefill_ && l < layers; ++l) {
      if (!policy_.selects_at(l)) continue;
      const TokenFrame entered = frame_;  // what a truncation indexes
      std::optional<Retention> kept;
      if (options_.placement == Placement::kBefore) {
        run_segment(from, l, appended);
        if (!appended || from < l) append_all(l);
        kept = select_at(l, tail_queries(l));
        from = l;
        appended = true;
        if (kept && policy_.truncates_at(l)) {
          run_segment(l, l + 1, true);
          from = l + 1;
          appended = false;
        }
      } else {
        tails_.assign(static_cast<std::size_t>(frame_.batch()), at::Tensor());
        run_segment(from, l + 1, appended);
        kept = select_at(l, std::exchange(tails_, {}));
        from = l + 1;
        appended = false;
      }
      if (kept) truncate(policy_, l, *kept, entered.positions(), cache_);
    }
    run_segment(from, layers, appended);
    return last_.defined() ? last_ : frame_.with_hidden(hidden_).last_token();
  }

  std::vector<StageRecord> stages() && { return std::move(stages_); }

 private:
  std::vector<Chunk> chunks() const {
    return make_chunks(frame_.lengths(), options_.prefill_chunk);
  }

  LiveTokens take(const Chunk& chunk) const {
    const bool all = chunk.begin == 0 && chunk.end == frame_.tokens();
    const std::int64_t length = chunk.end - chunk.begin;
    at::Tensor hidden = !hidden_.defined() ? model_.embed(chunk.begin, chunk.end)
                        : all              ? hidden_
                                           : hidden_.narrow(0, chunk.begin, length);
    if (all) {
      const TokenFrame frame = frame_.with_hidden(std::move(hidden));
      return {frame, model_.angles_of(frame, 0), 0};
    }
    std::vector<std::int64_t> offsets{0};
    for (const std::int64_t tokens : chunk.lengths) offsets.push_back(offsets.back() + tokens);
    TokenFrame frame(std::move(hidden), frame_.positions().narrow(0, chunk.begin, length),
                     std::move(offsets));
    RotaryAngles angles = model_.angles_of(frame, chunk.first_row);
    return {std::move(frame), std::move(angles), chunk.first_row};
  }

  std::vector<std::int64_t> room(const Chunk& chunk) const {
    std::vector<std::int64_t> room(chunk.lengths.size(), cache_.room());
    room.back() += chunk.rest;
    return room;
  }

  void report(std::int64_t layer, const Chunk& chunk, std::size_t index, std::size_t count) const {
    if (options_.progress)
      options_.progress({layer, static_cast<std::int64_t>(model_.layers.size()),
                         chunk.end - chunk.begin, static_cast<std::int64_t>(index),
                         static_cast<std::int64_t>(count)});
  }

  /// Layers [first, last) for all live tokens; `appended`: those of the first one are in its cache.
  void run_segment(std::int64_t first, std::int64_t last, bool appended) {
    const bool ends = last == static_cast<std::int64_t>(model_.layers.size());
    if (first == last && (hidden_.defined() || last_.defined())) return;
    const std::vector<Chunk> parts = chunks();
    std::vector<at::Tensor> last_tokens;
    at::Tensor out = borrowed_ ? at::Tensor() : hidden_;
    for (std::size_t c = 0; c < parts.size(); ++c) {
      LiveTokens live = take(parts[c]);
      if (parts.size() == 1) hidden_ = out = at::Tensor();
      for (std::int64_t l = first; l < last; ++l) {
        const bool in_cache = appended && l == first;
        if (!in_cache) report(l, parts[c], c, parts.size());
        const DecoderLayer& layer = model_.layers[static_cast<std::size_t>(l)];
        at::Tensor x = layer.input_layernorm(live.frame.hidden());
        if (!in_cache) layer.append(l, x, live, cache_, room(parts[c]));
        const at::Tensor queries = layer.attend(l, std::move(x), live, cache_,
                                                !in_cache            ? QueryRows::kNewest
                                                : parts[c].rest == 0 ? QueryRows::kLastIsNewest
                                                                     : QueryRows::kAny);
        evict(l, parts[c], live, queries);
        if (l + 1 == last && !tails_.empty()) note_tails(l, parts[c], live, queries);
      }
      if (parts.size() == 1) {
        hidden_ = live.frame.hidden();
        borrowed_ = false;
        return;
      }
      if (ends) {
        const at::Tensor ended = live.frame.last_token();  // the last row's may be still to come
        if (parts[c].rest == 0 || ended.size(0) > 1)
          last_tokens.push_back(ended.narrow(0, 0, ended.size(0) - (parts[c].rest == 0 ? 0 : 1)));
        continue;
      }
      if (!out.defined())
        out = at::empty({frame_.tokens(), live.frame.hidden().size(1)},
                        live.frame.hidden().options());
      out.narrow(0, parts[c].begin, parts[c].end - parts[c].begin).copy_(live.frame.hidden());
    }
    if (ends) {
      last_ = at::cat(last_tokens);
    } else {
      hidden_ = out;
      borrowed_ = false;
    }
  }

  void append_all(std::int64_t layer) {
    const std::vector<Chunk> parts = chunks();
    for (std::size_t c = 0; c < parts.size(); ++c) {
      report(layer, parts[c], c, parts.size());
      const LiveTokens live = take(parts[c]);
      const DecoderLayer& at = model_.layers[static_cast<std::size_t>(layer)];
      at.append(layer, at.input_layernorm(live.frame.hidden()), live, cache_, room(parts[c]));
    }
  }

  void evict(std::int64_t layer,
             const Chunk& chunk,
             const LiveTokens& live,
             const at::Tensor& queries) {
    if constexpr (std::is_same_v<std::remove_cvref_t<Eviction>, KeepCache>) return;
    const TokenFrame& frame = live.frame;
    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      const bool complete = b + 1 < frame.batch() || chunk.rest == 0;
      eviction_.evict({live.first_row + b, layer, frame.row(queries, b).transpose(0, 1),
                       frame.row(frame.positions(), b), prefill_, complete, cache_.room(),
                       model_.layers[static_cast<std::size_t>(layer)].self_attn.sliding_window},
                      live.cache_of(cache_, b, layer));
    }
  }

  std::int64_t window(std::int64_t layer, std::int64_t row) const {
    return std::min(policy_.window(layer), frame_.length(row));
  }

  /// Queries of every row's last tokens, of the hidden states that wait in front of `layer`.
  std::vector<at::Tensor> tail_queries(std::int64_t layer) const {  // [B] of [H, W, D]
    const DecoderLayer& at = model_.layers[static_cast<std::size_t>(layer)];
    std::vector<at::Tensor> tails;
    for (std::int64_t b = 0; b < frame_.batch(); ++b) {
      const std::int64_t count = window(layer, b);
      const LiveTokens tail =
          take({b, {count}, frame_.offset(b + 1) - count, frame_.offset(b + 1), 0});
      tails.push_back(at.self_attn.queries(at.input_layernorm(tail.frame.hidden()), tail.angles)
                          .transpose(0, 1));
    }
    return tails;
  }

  void note_tails(std::int64_t layer,
                  const Chunk& chunk,
                  const LiveTokens& live,
                  const at::Tensor& queries) {
    for (std::int64_t b = 0; b < live.frame.batch(); ++b) {
      if (b + 1 == live.frame.batch() && chunk.rest > 0) continue;
      const std::int64_t row = live.first_row + b, count = window(layer, row);
      TORCH_CHECK_VALUE(live.frame.length(b) >= count,
                        "promptdistill: a prefill chunk must hold the ", count,
                        " queries that score after layer ", layer, ", got one of ",
                        live.frame.length(b), " tokens; or place the stage before attention");
      const at::Tensor tail =
          queries.narrow(0, live.frame.offset(b + 1) - count, count).transpose(0, 1);
      // A view would keep the chunk's queries beside those of the chunks after it.
      tails_[static_cast<std::size_t>(row)] =
          live.frame.tokens() < frame_.tokens() ? tail.contiguous() : tail;
    }
  }

  /// Probes every row, keeps what the policy keeps and records it.
  std::optional<Retention> select_at(std::int64_t layer, std::vector<at::Tensor> tails) {
    std::vector<LayerProbe> probes;
    for (std::int64_t b = 0; b < frame_.batch(); ++b) {
      const std::int64_t length = frame_.length(b);
      const LayerCache& held = cache_.at(b, layer);
      TORCH_CHECK_VALUE(
          !held.per_head() && held.rows() >= length,
          "promptdistill: a stage selects from keys that are all in the cache; layer ", layer,
          " lost some to a cache policy: put the stage before attention");
      const at::Tensor positions = frame_.row(frame_.positions(), b);
      at::Tensor& tail = tails[static_cast<std::size_t>(b)];
      const std::int64_t count = tail.size(1);
      probes.push_back({layer, std::move(tail), held.keys().narrow(1, held.rows() - length, length),
                        positions.narrow(0, length - count, count), positions});
    }
    StageSelection chosen = select(policy_, std::span<const LayerProbe>(probes));
    probes.clear();
    if (chosen.retention) {
      frame_ = frame_.with_hidden(std::move(hidden_)).keep(*chosen.retention);
      hidden_ = frame_.hidden();
      frame_ = frame_.with_hidden({});
    }
    stages_.push_back({layer, frame_.positions(), frame_.offsets(), std::move(chosen.scores)});
    return std::move(chosen.retention);
  }

  Model model_;
  TokenFrame frame_;    // all live tokens, without hidden states
  std::int64_t first_;  // the layer that the pass begins with
  bool appended_;       // its cache holds all tokens
  at::Tensor hidden_;   // [S, E] of them; undefined: not embedded yet
  bool borrowed_;       // the caller may still need them: not to be written to
  at::Tensor last_;     // [B, E] of the last tokens, where the last segment ran in chunks
  std::vector<at::Tensor>
      tails_;  // [B] queries of the last tokens, asked for by a stage after its layer
  std::vector<StageRecord> stages_;
  KvCache& cache_;
  const Policy& policy_;
  Eviction& eviction_;
  const PrefillOptions& options_;
  bool prefill_;
};

}  // namespace detail

}  // namespace promptdistill
