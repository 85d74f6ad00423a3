#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One prefill for many cache policies: what they are asked in it is noted, and each cuts a copy of
// the cache afterwards.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/kv_cache.hpp"

namespace promptdistill::examples {

/// A cache policy that evicts nothing. Of one prompt run at once, layer after layer.
class NotedProbes {
 public:
  /// How many of the last queries are held, of every layer: what the policies to come look at.
  explicit NotedProbes(std::int64_t queries) : queries_(queries) {}

  void evict(const CacheProbe& probe, LayerCache&) {
    CacheProbe noted = probe;
    const std::int64_t all = probe.queries.size(1), count = std::min(queries_, all);
    noted.queries = probe.queries.narrow(1, all - count, count).clone();  // not the others beside
    noted.query_positions = probe.query_positions.narrow(0, all - count, count);
    probes_.push_back(std::move(noted));
  }

  /// Lets a policy cut the layers that have run, as it would have then.
  template <CachePolicy Policy>
  void replay(Policy& policy, KvCache& cache) const {
    for (const CacheProbe& probe : probes_) policy.evict(probe, cache.at(probe.row, probe.layer));
  }

  const std::vector<CacheProbe>& probes() const { return probes_; }

 private:
  std::int64_t queries_;
  std::vector<CacheProbe> probes_;
};

}  // namespace promptdistill::examples
