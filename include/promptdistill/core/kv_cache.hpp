#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys and values of every row and layer, and where each row's next token stands.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include "promptdistill/core/layer_cache.hpp"
#include "promptdistill/core/retention.hpp"

namespace promptdistill {

/// The caches of a batch: per row and layer a LayerCache, and each row's true next position, which
/// a reduced cache cannot tell. A move-only value; fork() copies.
class KvCache {
 public:
  /// `room`: rows to reserve in every layer for tokens appended after the prompt.
  explicit KvCache(std::int64_t layers, std::int64_t batch = 1, std::int64_t room = 0)
      : layers_(layers), room_(room) {
    TORCH_CHECK_VALUE(layers >= 1 && batch >= 1 && room >= 0,
                      "promptdistill: a cache must have at least one layer and one row and a room "
                      "that is not negative, got ",
                      layers, ", ", batch, " and ", room);
    caches_.resize(static_cast<std::size_t>(layers * batch));
    next_position_.resize(static_cast<std::size_t>(batch), 0);
    request_length_.resize(static_cast<std::size_t>(batch), 0);
  }
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  std::int64_t layers() const { return layers_; }
  std::int64_t batch() const { return static_cast<std::int64_t>(next_position_.size()); }
  std::int64_t room() const { return room_; }

  /// One batch of the rows of several, in their order; nothing is copied. Throws c10::ValueError
  /// where there is none or layers or rooms differ.
  static KvCache join(std::vector<KvCache> parts) {
    TORCH_CHECK_VALUE(!parts.empty(), "promptdistill: at least one cache must be there to join");
    for (const KvCache& part : parts) {
      TORCH_CHECK_VALUE(part.layers_ == parts[0].layers_ && part.room_ == parts[0].room_,
                        "promptdistill: joined caches must have the same layers and room, got ",
                        part.layers_, " and ", part.room_, " beside ", parts[0].layers_, " and ",
                        parts[0].room_);
    }
    KvCache all = std::move(parts[0]);
    for (std::size_t p = 1; p < parts.size(); ++p) {
      const auto add = [](auto& to, auto& from) {
        to.insert(to.end(), std::make_move_iterator(from.begin()),
                  std::make_move_iterator(from.end()));
      };
      add(all.caches_, parts[p].caches_);
      add(all.next_position_, parts[p].next_position_);
      add(all.request_length_, parts[p].request_length_);
    }
    return all;
  }

  /// Drops all rows of the batch but some, ascending: those whose answer is not complete. The
  /// memory of the others falls at once. Throws c10::ValueError where the rows are none, not
  /// ascending or not there.
  void keep_rows(const std::vector<std::int64_t>& rows) {
    TORCH_CHECK_VALUE(
        !rows.empty() && rows.front() >= 0 && rows.back() < batch() &&
            std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) == rows.end(),
        "promptdistill: the rows that stay must be ascending rows of the batch's ", batch(),
        ", got ", rows);
    for (std::size_t to = 0; to < rows.size(); ++to) {
      const auto from = static_cast<std::size_t>(rows[to]);
      if (from == to) continue;
      for (std::int64_t l = 0; l < layers_; ++l)
        at(static_cast<std::int64_t>(to), l) = std::move(at(rows[to], l));
      next_position_[to] = next_position_[from];
      request_length_[to] = request_length_[from];
    }
    caches_.erase(caches_.begin() + layers_ * std::ssize(rows), caches_.end());
    next_position_.resize(rows.size());
    request_length_.resize(rows.size());
  }

  LayerCache& at(std::int64_t row, std::int64_t layer) { return caches_[index(row, layer)]; }
  const LayerCache& at(std::int64_t row, std::int64_t layer) const {
    return caches_[index(row, layer)];
  }

  /// Where row b's next token stands: the true length of all that was run, whatever was dropped
  /// since.
  std::int64_t next_position(std::int64_t row) const {
    return next_position_.at(static_cast<std::size_t>(row));
  }
  void advance(std::int64_t row, std::int64_t tokens) {
    next_position_.at(static_cast<std::size_t>(row)) += tokens;
  }

  /// The length that row b was said to reach when its first keys were rotated, for rotary
  /// embeddings that depend on it; 0 before.
  std::int64_t request_length(std::int64_t row) const {
    return request_length_.at(static_cast<std::size_t>(row));
  }
  void set_request_length(std::int64_t row, std::int64_t tokens) {
    request_length_.at(static_cast<std::size_t>(row)) = tokens;
  }

  /// Cuts one layer of every row to the tokens that `kept` retains of the live tokens at
  /// `positions` [S] int64. A check that throws leaves every row as it was.
  void keep(std::int64_t layer, const Retention& kept, const at::Tensor& positions) {
    const std::vector<std::int64_t>& lengths = kept.source_lengths();
    TORCH_CHECK_VALUE(
        kept.batch() == batch() && positions.dim() == 1 && positions.scalar_type() == at::kLong &&
            positions.numel() == std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}),
        "promptdistill: a cache of ", batch(),
        " rows is cut by a retention of as many, with the int64 position of each of "
        "its source tokens, got one from ",
        lengths, " tokens and positions ", positions.sizes());
    std::vector<at::Tensor> rows;
    std::int64_t start = 0;
    for (std::int64_t b = 0; b < batch(); ++b) {
      const LayerCache& cache = at(b, layer);
      TORCH_CHECK_VALUE(cache.rows() > 0 && !cache.per_head(),
                        "promptdistill: a cache that is empty or has rows chosen per head cannot "
                        "be truncated");
      const std::int64_t length = kept.source_length(b);
      const at::Tensor live = positions.narrow(0, start, length);
      start += length;
      if (cache.rows() == length && at::equal(cache.positions(), live)) {
        rows.push_back(kept.row(b));
      } else {
        // Rows of an earlier turn stay; of the live tokens' rows those that were kept. An evicted
        // row is not there to keep.
        const at::Tensor dropped =
            at::isin(cache.positions(), live)
                .logical_and_(
                    at::isin(cache.positions(), live.index_select(0, kept.row(b))).logical_not_());
        rows.push_back(dropped.logical_not().nonzero().squeeze(1));
      }
    }
    for (std::int64_t b = 0; b < batch(); ++b)
      at(b, layer).keep(rows[static_cast<std::size_t>(b)], room_);
  }

  /// What is allocated, room included.
  std::size_t bytes() const {
    std::size_t total = 0;
    for (const LayerCache& cache : caches_) total += cache.bytes();
    return total;
  }
  /// Of these, what forks hold together.
  std::size_t frozen_bytes() const {
    std::size_t total = 0;
    for (const LayerCache& cache : caches_) total += cache.frozen_bytes();
    return total;
  }

  /// From here on the rows of every layer are shared by all forks and written to by none.
  void freeze() {
    for (LayerCache& cache : caches_) cache.freeze();
  }

  /// The rows of every layer of one row of the batch.
  std::vector<std::int64_t> rows(std::int64_t row = 0) const {  // [L]
    std::vector<std::int64_t> result;
    for (std::int64_t l = 0; l < layers_; ++l) result.push_back(at(row, l).rows());
    return result;
  }

  /// A copy that shares what is frozen and no other memory: each goes its own way from here.
  KvCache fork() const { return fork(room_); }
  KvCache fork(std::int64_t room) const {
    KvCache copy(layers_, batch(), room);
    for (std::size_t i = 0; i < caches_.size(); ++i) copy.caches_[i] = caches_[i].fork();
    copy.next_position_ = next_position_;
    copy.request_length_ = request_length_;
    return copy;
  }

 private:
  std::size_t index(std::int64_t row, std::int64_t layer) const {
    TORCH_CHECK_INDEX(row >= 0 && row < batch() && layer >= 0 && layer < layers_,
                      "promptdistill: the cache has rows 0 to ", batch() - 1, " and layers 0 to ",
                      layers_ - 1, ", got row ", row, " and layer ", layer);
    return static_cast<std::size_t>(row * layers_ + layer);
  }

  std::int64_t layers_;
  std::int64_t room_;
  std::vector<LayerCache> caches_;
  std::vector<std::int64_t> next_position_;   // [B]
  std::vector<std::int64_t> request_length_;  // [B]
};

}  // namespace promptdistill
