#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys and values of one row's tokens at one layer, each with the position it stands at.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace promptdistill {

/// Keys and values of some tokens, each with the position it stands at; or these in int8, with the
/// scale of each row and head, so that a key is key_scales[g, row] * keys[g, row].
struct CacheRows {
  at::Tensor keys;       // [G, rows, D]
  at::Tensor values;     // [G, rows, D]
  at::Tensor positions;  // [rows] int64, or [G, rows] after a per-head eviction
  at::Tensor key_scales = {}, value_scales = {};  // [G, rows] float32, of int8; else undefined

  std::int64_t rows() const { return keys.size(1); }
  bool is_int8() const { return key_scales.defined(); }
  std::size_t bytes() const {
    return keys.nbytes() + values.nbytes() + positions.nbytes() +
           (is_int8() ? key_scales.nbytes() + value_scales.nbytes() : 0);
  }

  /// Half the bytes of 16-bit rows and a little: the largest element of a row becomes 127, so that
  /// each is off by at most 1/254 of it.
  CacheRows to_int8() const {
    if (is_int8()) return *this;
    CacheRows out{{}, {}, positions};
    const auto store = [](const at::Tensor& rows, at::Tensor& stored, at::Tensor& scales) {
      const at::Tensor wide = rows.to(at::kFloat);
      scales = wide.abs().amax(-1).div_(127);
      stored = wide.div(scales.clamp_min(1e-30).unsqueeze(-1)).round_().to(at::kChar);
    };
    store(keys, out.keys, out.key_scales);
    store(values, out.values, out.value_scales);
    return out;
  }

  /// The rows in `dtype`.
  CacheRows to(at::ScalarType dtype) const {
    if (!is_int8()) return *this;
    return {get(&CacheRows::keys, dtype), get(&CacheRows::values, dtype), positions};
  }

  /// Keys, values or positions, of int8 in `dtype`; only what is asked for is converted.
  at::Tensor get(at::Tensor CacheRows::*of, at::ScalarType dtype) const {
    if (!is_int8() || of == &CacheRows::positions) return this->*of;
    const at::Tensor& scales = of == &CacheRows::keys ? key_scales : value_scales;
    return (this->*of).to(at::kFloat).mul_(scales.unsqueeze(-1)).to(dtype);
  }

  CacheRows narrow(std::int64_t first, std::int64_t count) const {  // a view
    CacheRows out{keys.narrow(1, first, count), values.narrow(1, first, count),
                  positions.defined() ? positions.narrow(-1, first, count) : positions};
    if (is_int8()) {
      out.key_scales = key_scales.narrow(1, first, count);
      out.value_scales = value_scales.narrow(1, first, count);
    }
    return out;
  }
};

/// One row's keys and values at one layer, in the order of their positions. Storage is allocated
/// for the rows it holds plus room for the answer; appending within it copies only the new rows.
/// Move-only, since two copies would write to one storage; fork() copies. What throws leaves it as
/// it was. Orders are checked where the tensor that states them is on the host.
///
/// freeze() turns its rows into rows that nobody writes to again: forks hold the same ones, in any
/// number of threads, and append rows of their own behind them.
class LayerCache {
 public:
  LayerCache() = default;
  LayerCache(LayerCache&&) = default;
  LayerCache& operator=(LayerCache&&) = default;

  /// [G, rows, D]: a view, or a copy where some rows are frozen and some are not, or are in int8
  /// (float32 where all are); parts() never copies.
  at::Tensor keys() const { return whole(&CacheRows::keys); }
  at::Tensor values() const { return whole(&CacheRows::values); }  // [G, rows, D], the same
  /// Positions of the rows: [rows], or [G, rows] after a per-head eviction; as keys().
  at::Tensor positions() const { return whole(&CacheRows::positions); }
  std::int64_t rows() const { return frozen_rows_ + rows_; }
  bool per_head() const { return rows_ > 0 && positions_.dim() == 2; }

  /// The rows where they lie, frozen ones first; views. Empty where there is none.
  std::vector<CacheRows> parts() const {
    std::vector<CacheRows> all = frozen_;
    if (rows_ > 0) all.push_back(own());
    return all;
  }
  const std::vector<CacheRows>& frozen() const { return frozen_; }

  /// What is allocated, frozen rows included.
  std::size_t bytes() const {
    return frozen_bytes() +
           (keys_.defined() ? keys_.nbytes() + values_.nbytes() + positions_.nbytes() : 0);
  }
  /// Of these, what forks hold together.
  std::size_t frozen_bytes() const {
    std::size_t total = 0;
    for (const CacheRows& part : frozen_) total += part.bytes();
    return total;
  }

  /// From here on the rows are shared by all forks and written to by none. Small frozen parts are
  /// merged, so that n calls leave about log n of them. `int8`: those that were not frozen are
  /// stored so. Throws c10::ValueError where heads hold different rows.
  void freeze(bool int8 = false) {
    if (rows_ == 0) return;
    TORCH_CHECK_VALUE(!per_head(),
                      "promptdistill: a cache whose heads hold different rows cannot be frozen");
    const CacheRows last = int8 ? own().to_int8() : own();
    std::size_t first = frozen_.size();
    std::int64_t merged = rows_;
    while (first > 0 && frozen_[first - 1].rows() <= merged && frozen_[first - 1].is_int8() == int8)
      merged += frozen_[--first].rows();
    const auto join = [&](at::Tensor CacheRows::*of, std::int64_t dim) {
      std::vector<at::Tensor> pieces;
      for (std::size_t i = first; i < frozen_.size(); ++i) pieces.push_back(frozen_[i].*of);
      pieces.push_back(last.*of);
      // Rows that fill their storage become frozen where they are.
      if (pieces.size() > 1) return at::cat(pieces, dim);
      return int8 || rows_ == capacity() ? pieces[0] : pieces[0].clone();
    };
    CacheRows part{join(&CacheRows::keys, 1), join(&CacheRows::values, 1),
                   join(&CacheRows::positions, 0)};
    if (int8) {
      part.key_scales = join(&CacheRows::key_scales, 1);
      part.value_scales = join(&CacheRows::value_scales, 1);
    }
    LayerCache next;
    next.frozen_.assign(frozen_.begin(), frozen_.begin() + static_cast<std::ptrdiff_t>(first));
    next.frozen_.push_back(std::move(part));
    next.frozen_rows_ = frozen_rows_ + rows_;
    *this = std::move(next);
  }

  /// Stores frozen rows in int8 that are not.
  void frozen_to_int8() {
    for (CacheRows& part : frozen_) part = part.to_int8();
  }

  /// A cache of frozen rows: their keys, values and [rows] positions, none of which may be written
  /// to again.
  static LayerCache of(CacheRows rows) {
    LayerCache cache;
    cache.frozen_rows_ = rows.rows();
    cache.frozen_.push_back(std::move(rows));
    return cache;
  }

  /// All that is allocated for rows that are not frozen, for who writes rows without append (a
  /// captured graph) and then says so with add_rows: keys and values [G, capacity, D], positions
  /// [capacity] or [G, capacity]. Valid until rows are appended beyond the capacity, kept or
  /// frozen.
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
    const at::Tensor& held = keys_.defined() || frozen_.empty() ? keys_ : frozen_[0].keys;
    TORCH_CHECK_VALUE(
        !held.defined() || (keys.size(1) == held.size(0) && keys.size(2) == held.size(2)),
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
                          (indices.dim() == 1 || (indices.dim() == 2 && rows() > 0 &&
                                                  indices.size(0) == parts().front().keys.size(0))),
                      "promptdistill: kept cache rows must be int64 indices [K] or [G, K], got ",
                      indices.sizes());
    TORCH_CHECK_VALUE((keys_.defined() || !frozen_.empty()) && room >= 0 && ascending(indices),
                      "promptdistill: a cache keeps rows that it has, in ascending order, and a "
                      "room that is not negative");
    const std::int64_t kept = indices.size(-1);
    const at::Tensor old_keys = keys(), old_values = values(), old_positions = positions();
    at::Tensor new_positions;
    LayerCache next;
    if (indices.dim() == 1) {
      next.allocate(old_keys, kept + room, old_positions.dim() == 2);
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

  /// A copy that shares the frozen rows and nothing else with this cache.
  LayerCache fork() const {
    LayerCache copy;
    copy.frozen_ = frozen_;
    copy.frozen_rows_ = frozen_rows_;
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
    if (rows() == 0 || positions.numel() == 0 || !positions.is_cpu()) return true;
    const at::Tensor held = rows_ > 0 ? own().positions : frozen_.back().positions;
    return !held.is_cpu() || held.select(-1, held.size(-1) - 1).max().item<std::int64_t>() <
                                 positions[0].item<std::int64_t>();
  }

  /// Of the rows that are not in int8; float32 where all are.
  at::ScalarType dtype() const {
    for (const CacheRows& part : parts())
      if (!part.is_int8()) return part.keys.scalar_type();
    return at::kFloat;
  }

  CacheRows own() const {
    return {keys_.narrow(1, 0, rows_), values_.narrow(1, 0, rows_),
            positions_.narrow(-1, 0, rows_)};
  }

  at::Tensor whole(at::Tensor CacheRows::*of) const {
    if (frozen_.empty()) return own().*of;
    std::vector<at::Tensor> pieces;
    for (const CacheRows& part : parts()) pieces.push_back(part.get(of, dtype()));
    return pieces.size() == 1 ? pieces[0] : at::cat(pieces, of == &CacheRows::positions ? -1 : 1);
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
      next.keys_.narrow(1, 0, rows_).copy_(own().keys);
      next.values_.narrow(1, 0, rows_).copy_(own().values);
      next.positions_.narrow(-1, 0, rows_).copy_(own().positions);
    }
    next.frozen_ = frozen_;
    next.frozen_rows_ = frozen_rows_;
    next.rows_ = rows_;
    *this = std::move(next);
  }

  std::vector<CacheRows> frozen_;  // before the others; nothing writes to them
  std::int64_t frozen_rows_ = 0;
  at::Tensor keys_;       // [G, capacity, D]
  at::Tensor values_;     // [G, capacity, D]
  at::Tensor positions_;  // [capacity] or [G, capacity]
  std::int64_t rows_ = 0;
};

}  // namespace promptdistill
