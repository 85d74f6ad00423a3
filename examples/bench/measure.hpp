#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One run of one method: its times, or its peaks in memory.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/bench_method.hpp"
#include "examples/bench/peak_rss.hpp"
#include "examples/bench/records.hpp"
#include "examples/common/decode_with.hpp"
#include "examples/common/machine.hpp"
#include "examples/common/memory_meter.hpp"
#include "examples/common/progress.hpp"
#include "promptdistill/baseline/method.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/generate.hpp"

#if __has_include(<c10/core/CachingDeviceAllocator.h>)
#include <c10/core/CachingDeviceAllocator.h>
#endif

namespace promptdistill::examples {

/// What every run has in common.
struct RunSettings {
  std::int64_t new_tokens = 64;  // the first one included
  std::optional<std::int64_t> prefill_chunk;
  std::optional<std::int64_t> stop_after;  // tokens; the cache has room for all the same
};

namespace detail {

/// The most that the device's allocator has held since reset; 0 for the CPU and where LibTorch does
/// not say.
class DevicePeak {
 public:
  explicit DevicePeak(at::Device device) : device_(device) {
#if __has_include(<c10/core/CachingDeviceAllocator.h>)
    if (device.is_cpu()) return;
    at::getDeviceAllocator(device.type())->resetPeakStats(index());
    base_ = stat().current;
#endif
  }

  std::int64_t above_base() const {
#if __has_include(<c10/core/CachingDeviceAllocator.h>)
    if (!device_.is_cpu()) return stat().peak - base_;
#endif
    return 0;
  }

 private:
  c10::DeviceIndex index() const {
    return device_.has_index() ? device_.index() : c10::DeviceIndex{0};
  }
#if __has_include(<c10/core/CachingDeviceAllocator.h>)
  c10::CachingAllocator::Stat stat() const {
    return at::getDeviceAllocator(device_.type())
        ->getDeviceStats(index())
        .allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
  }
#endif

  at::Device device_;
  std::int64_t base_ = 0;
};

}  // namespace detail

/// Called before every layer with what is being done; Ctrl-C ends the run.
using LayerProgress = std::function<void(const PrefillProgress&)>;

struct Run {
  GenerateResult result;
  std::vector<std::int64_t> rows_at_end;  // [L] of the cache
};

inline Run run_once(const CausalLm& lm,
                    const std::vector<std::int64_t>& prompt,
                    const MethodOptions& method,
                    const RunSettings& settings,
                    const LayerProgress& progress = {}) {
  GenerateOptions options;
  options.decode_with = fastest_decode();
  options.max_new_tokens = settings.new_tokens;
  options.prefill.prefill_chunk = settings.prefill_chunk;
  options.prefill.progress = [&](const PrefillProgress& at) {
    if (interrupted()) throw Interrupted();
    if (progress) progress(at);
  };
  options.on_token = [&settings, count = std::int64_t{0}](std::int64_t) mutable {
    return !interrupted() && ++count != settings.stop_after.value_or(0);
  };
  KvCache cache = lm.make_cache(1, settings.new_tokens);
  synchronize(lm.device());
  GenerateResult result = run_method(lm, prompt, method, options, cache);
  if (interrupted()) throw Interrupted();
  return {std::move(result), cache.rows()};
}

/// A record without the suite, repetition and process that it is of.
inline TimeRecord measure_time(const CausalLm& lm,
                               const std::vector<std::int64_t>& prompt,
                               const BenchMethod& method,
                               const RunSettings& settings,
                               const LayerProgress& progress) {
  const auto [result, rows_at_end] = run_once(lm, prompt, method.options, settings, progress);
  TimeRecord record;
  record.method = method.text();
  record.length = static_cast<std::int64_t>(prompt.size());
  record.first_token = result.prefill_seconds;
  record.decode = result.decode_seconds;
  record.decoded = static_cast<std::int64_t>(result.tokens.size()) - 1;
  record.cache_bytes = static_cast<std::int64_t>(result.cache_bytes);
  record.rows_after_prefill = result.cache_rows;
  record.rows_at_end = rows_at_end;
  for (const StageRecord& stage : result.stages)
    record.kept.emplace_back(stage.layer, stage.kept_positions.numel());
  return record;
}

/// To be called in a process that has done nothing else: what runs before stays in its memory.
inline MemoryRecord measure_memory(const CausalLm& lm,
                                   const std::vector<std::int64_t>& prompt,
                                   const MethodOptions& method,
                                   const RunSettings& settings) {
  RunSettings warm_up = settings;
  warm_up.new_tokens = 2;
  const auto short_end = prompt.begin() + std::min<std::ptrdiff_t>(16, std::ssize(prompt));
  run_once(lm, {prompt.begin(), short_end}, {}, warm_up);
  const PeakRss rss;
  const detail::DevicePeak device(lm.device());
  const MemoryMeter meter;
  const GenerateResult result = run_once(lm, prompt, method, settings).result;
  return {.method = to_string(method),
          .length = static_cast<std::int64_t>(prompt.size()),
          .tensor_peak = meter.peak_bytes(),
          .rss_peak = rss.above_base(),
          .rss_in_all = rss.in_all(),
          .device_peak = device.above_base(),
          .cache_bytes = static_cast<std::int64_t>(result.cache_bytes)};
}

}  // namespace promptdistill::examples
