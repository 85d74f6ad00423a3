#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// StreamingLLM: the first rows, which attention rests on, and the newest.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>

#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

struct StreamingLlmOptions {
  std::int64_t sinks = 4;      // first rows that stay; 0: a plain window
  std::int64_t recent = 1020;  // newest rows that stay
};

/// StreamingLLM (arXiv 2309.17453) as a cache policy: whenever a layer holds more than `sinks +
/// recent` rows once a prompt or a step is complete, the first `sinks` and the last `recent` stay.
/// The authors renumber rotary positions by cache slot; here rows stand where they always stood.
class StreamingLlm {
 public:
  explicit StreamingLlm(const StreamingLlmOptions& options = {}) : options_(options) {
    TORCH_CHECK_VALUE(options.sinks >= 0 && options.recent >= 1,
                      "promptdistill: StreamingLLM's sinks must not be negative and its recent "
                      "rows at least 1, got ",
                      options.sinks, " and ", options.recent);
  }

  void evict(const CacheProbe& probe, LayerCache& cache) const {
    const std::int64_t rows = cache.rows();
    if (!probe.complete || rows <= options_.sinks + options_.recent) return;
    const auto integers = probe.query_positions.options();
    cache.keep(at::cat({at::arange(options_.sinks, integers),
                        at::arange(rows - options_.recent, rows, integers)}),
               probe.room);
  }

 private:
  StreamingLlmOptions options_;
};
static_assert(CachePolicy<StreamingLlm>);

}  // namespace promptdistill
