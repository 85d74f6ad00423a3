#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A cache as servers have them: pages of 16 rows from one pool, a table of pages per layer. What
// makes it a cache that stages can cut is its method keep; the freed pages go back to the pool.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "promptdistill/promptdistill.hpp"

namespace custom {

/// The cache of one prompt.
class PagedCache {
 public:
  static constexpr std::int64_t kPage = 16;  // rows

  PagedCache(std::int64_t layers, std::int64_t kv_heads, std::int64_t head_size, std::int64_t pages)
      : pool_(at::empty({pages, 2, kv_heads, kPage, head_size})),
        free_(static_cast<std::size_t>(pages)),
        layers_(static_cast<std::size_t>(layers)) {
    std::iota(free_.begin(), free_.end(), 0);
  }

  bool empty(std::int64_t l) const { return rows(l) == 0; }
  std::int64_t rows(std::int64_t l) const { return layers_.at(l).rows; }
  std::int64_t used_pages() const { return pool_.size(0) - std::ssize(free_); }
  at::Tensor keys(std::int64_t l) const { return read(l, 0); }    // [1, G, T, D]
  at::Tensor values(std::int64_t l) const { return read(l, 1); }  // [1, G, T, D]

  void append(std::int64_t l, const at::Tensor& k, const at::Tensor& v) {  // [1, G, T, D] each
    const at::Tensor both = at::cat({k, v});                               // [2, G, T, D]
    Layer& layer = layers_.at(l);
    for (std::int64_t t = 0, count; t < both.size(2); t += count) {
      const std::int64_t filled = layer.rows % kPage;
      if (filled == 0) layer.pages.push_back(take());
      count = std::min(both.size(2) - t, kPage - filled);
      pool_[layer.pages.back()].narrow(2, filled, count).copy_(both.narrow(2, t, count));
      layer.rows += count;
    }
  }

  /// All that the library asks of a cache.
  void keep(std::int64_t l, const promptdistill::Retention& kept, const at::Tensor& /*positions*/) {
    const at::Tensor k = kept.gather(keys(l), 2), v = kept.gather(values(l), 2);
    Layer& layer = layers_.at(l);
    free_.insert(free_.end(), layer.pages.begin(), layer.pages.end());
    layer = {};
    append(l, k, v);
  }

 private:
  struct Layer {
    std::vector<std::int64_t> pages;
    std::int64_t rows = 0;
  };

  std::int64_t take() {
    if (free_.empty()) throw std::runtime_error("the cache has no free page left");
    const std::int64_t page = free_.back();
    free_.pop_back();
    return page;
  }

  at::Tensor read(std::int64_t l, std::int64_t which) const {
    const Layer& layer = layers_.at(l);
    return pool_.select(1, which)
        .index_select(0, at::tensor(layer.pages, at::kLong))
        .transpose(0, 1)
        .flatten(1, 2)
        .narrow(1, 0, layer.rows)
        .unsqueeze(0);
  }

  at::Tensor pool_;  // [pages, 2, G, kPage, D]
  std::vector<std::int64_t> free_;
  std::vector<Layer> layers_;
};
static_assert(promptdistill::TruncatableCache<PagedCache>);

}  // namespace custom
