#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys and values of every row and layer, each with the position it stands at.

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

#include "promptdistill/core/retention.hpp"

namespace promptdistill {

/// One row's keys and values at one layer, in the order of their positions. Storage is allocated
/// for the rows it holds plus room for the answer; appending within it copies only the new rows.
/// Move-only, since two copies would write to one storage; fork() copies. What throws leaves it as
/// it was. Orders are checked where the tensor that states them is on the host.
class LayerCache {
 public:
  LayerCache() = default;
  LayerCache(LayerCache&&) = default;
  LayerCache& operator=(LayerCache&&) = default;

  at::Tensor keys() const { return keys_.narrow(1, 0, rows_); }      // [G, rows, D], a view
  at::Tensor values() const { return values_.narrow(1, 0, rows_); }  // [G, rows, D], a view
  /// Positions of the rows: [rows], or [G, rows] after a per-head eviction. A view.
  at::Tensor positions() const { return positions_.narrow(-1, 0, rows_); }
  std::int64_t rows() const { return rows_; }
  bool per_head() const { return rows_ > 0 && positions_.dim() == 2; }
  std::size_t bytes() const {
    return keys_.defined() ? keys_.nbytes() + values_.nbytes() + positions_.nbytes() : 0;
  }

  /// All that is allocated, for who writes rows without append (a captured graph) and then says so
  /// with add_rows: keys and values [G, capacity, D], positions [capacity] or [G, capacity]. Valid
  /// until rows are appended beyond the capacity or kept.
  const at::Tensor& key_storage() const { return keys_; }
  const at::Tensor& value_storage() const { return values_; }
  const at::Tensor& position_storage() const { return positions_; }
  std::int64_t capacity() const { return keys_.defined() ? keys_.size(1) : 0; }
  void add_rows(std::int64_t count) {
    TORCH_CHECK_VALUE(count >= 0 && rows_ + count <= capacity(),
                      "promptdistill: rows are added within a cache's storage of ", capacity(),
                      ", got ", count, " beside ", rows_);
    rows_ += count;
  }

  /// Appends T tokens; storage that must grow gets `room` rows beyond what it then holds.
  void append(const at::Tensor& keys,       // [T, G, D]
              const at::Tensor& values,     // [T, G, D]
              const at::Tensor& positions,  // [T] int64, ascending, beyond every row held
              std::int64_t room) {
    TORCH_CHECK_VALUE(keys.dim() == 3 && keys.sizes() == values.sizes() && positions.dim() == 1 &&
                          positions.numel() == keys.size(0),
                      "promptdistill: cached keys and values must be [T, G, D] with one position "
                      "per token, got keys ",
                      keys.sizes(), ", values ", values.sizes(), " and positions ",
                      positions.sizes());
    TORCH_CHECK_VALUE(
        !keys_.defined() || (keys.size(1) == keys_.size(0) && keys.size(2) == keys_.size(2)),
        "promptdistill: appended keys must have the heads and head size of the cache");
    TORCH_CHECK_VALUE(positions.scalar_type() == at::kLong && room >= 0,
                      "promptdistill: cached positions must be int64 and the room not negative");
    TORCH_CHECK_VALUE(ascending(positions) && beyond_last(positions),
                      "promptdistill: appended positions must ascend, beyond those of the cache");
    const std::int64_t added = keys.size(0);
    reserve(keys, rows_ + added, room);
    keys_.narrow(1, rows_, added).copy_(keys.transpose(0, 1));
    values_.narrow(1, rows_, added).copy_(values.transpose(0, 1));
    positions_.narrow(-1, rows_, added)
        .copy_(positions.expand(positions_.dim() == 2 ? at::IntArrayRef{keys_.size(0), added}
                                                      : at::IntArrayRef{added}));
    rows_ += added;
  }

  /// Keeps the rows at ascending `indices`: [K] for all heads, or [G, K] int64, a choice per KV
  /// head. Memory falls at once.
  void keep(const at::Tensor& indices, std::int64_t room) {
    TORCH_CHECK_VALUE(indices.scalar_type() == at::kLong &&
                          (indices.dim() == 1 ||
                           (indices.dim() == 2 && rows_ > 0 && indices.size(0) == keys_.size(0))),
                      "promptdistill: kept cache rows must be int64 indices [K] or [G, K], got ",
                      indices.sizes());
    TORCH_CHECK_VALUE(keys_.defined() && room >= 0 && ascending(indices),
                      "promptdistill: a cache keeps rows that it has, in ascending order, and a "
                      "room that is not negative");
    const std::int64_t kept = indices.size(-1);
    const at::Tensor old_keys = keys(), old_values = values(), old_positions = positions();
    at::Tensor new_positions;
    LayerCache next;
    if (indices.dim() == 1) {
      next.allocate(old_keys, kept + room, positions_.dim() == 2);
      auto destination = next.keys_.narrow(1, 0, kept);
      destination.copy_(old_keys.index_select(1, indices));
      next.values_.narrow(1, 0, kept).copy_(old_values.index_select(1, indices));
      new_positions = old_positions.index_select(-1, indices);
    } else {
      next.allocate(old_keys, kept + room, true);
      const at::Tensor wide = indices.unsqueeze(-1).expand({-1, -1, old_keys.size(2)});
      next.keys_.narrow(1, 0, kept).copy_(old_keys.gather(1, wide));
      next.values_.narrow(1, 0, kept).copy_(old_values.gather(1, wide));
      new_positions = old_positions.expand({old_keys.size(0), -1}).gather(1, indices);
    }
    next.positions_.narrow(-1, 0, kept).copy_(new_positions);
    next.rows_ = kept;
    *this = std::move(next);
  }

  /// A copy that shares nothing with this cache.
  LayerCache fork() const {
    LayerCache copy;
    if (keys_.defined()) {
      copy.keys_ = keys_.clone();
      copy.values_ = values_.clone();
      copy.positions_ = positions_.clone();
    }
    copy.rows_ = rows_;
    return copy;
  }

 private:
  static bool ascending(const at::Tensor& numbers) {  // [K] or [G, K] int64
    if (!numbers.is_cpu() || numbers.size(-1) < 2) return true;
    const at::Tensor rows = numbers.contiguous();
    const auto* values = rows.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 1; i < rows.numel(); ++i)
      if (i % rows.size(-1) != 0 && values[i] <= values[i - 1]) return false;
    return true;
  }

  bool beyond_last(const at::Tensor& positions) const {  // [T] int64
    if (rows_ == 0 || positions.numel() == 0 || !positions.is_cpu() || !positions_.is_cpu())
      return true;
    return positions_.select(-1, rows_ - 1).max().item<std::int64_t>() <
           positions[0].item<std::int64_t>();
  }

  void allocate(const at::Tensor& like, std::int64_t capacity, bool per_head) {  // like [G, *, D]
    keys_ = at::empty({like.size(0), capacity, like.size(2)}, like.options());
    values_ = at::empty_like(keys_);
    const auto options = like.options().dtype(at::kLong);
    positions_ =
        per_head ? at::empty({like.size(0), capacity}, options) : at::empty({capacity}, options);
  }

  void reserve(const at::Tensor& like, std::int64_t rows, std::int64_t room) {  // like [*, G, D]
    if (keys_.defined() && rows <= keys_.size(1)) return;
    LayerCache next;
    // The first allocation fits exactly; one that was outgrown gets a quarter more, so that long
    // answers stay cheap.
    const std::int64_t capacity = rows + (rows_ == 0 ? room : std::max(room, rows / 4));
    next.allocate(like.transpose(0, 1), capacity, positions_.defined() && positions_.dim() == 2);
    if (rows_ > 0) {
      next.keys_.narrow(1, 0, rows_).copy_(keys());
      next.values_.narrow(1, 0, rows_).copy_(values());
      next.positions_.narrow(-1, 0, rows_).copy_(positions());
    }
    next.rows_ = rows_;
    *this = std::move(next);
  }

  at::Tensor keys_;       // [G, capacity, D]
  at::Tensor values_;     // [G, capacity, D]
  at::Tensor positions_;  // [capacity] or [G, capacity]
  std::int64_t rows_ = 0;
};

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
      const at::Tensor live = positions.narrow(0, start, lengths[b]);
      start += lengths[b];
      if (cache.rows() == lengths[b] && at::equal(cache.positions(), live)) {
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

  /// The rows of every layer of one row of the batch.
  std::vector<std::int64_t> rows(std::int64_t row = 0) const {  // [L]
    std::vector<std::int64_t> result;
    for (std::int64_t l = 0; l < layers_; ++l) result.push_back(at(row, l).rows());
    return result;
  }

  /// A copy that shares no memory: each goes its own way from here.
  KvCache fork() const {
    KvCache copy(layers_, batch(), room_);
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
