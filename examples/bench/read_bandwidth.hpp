#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How fast this machine reads memory: what no decode step can beat.

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "examples/common/machine.hpp"

namespace promptdistill::examples {

/// Bytes per second: the best of five sums over 256 MiB, more than caches hold, with as many
/// threads as the model has.
inline double read_bandwidth(at::Device device) {
  constexpr std::int64_t kBytes = std::int64_t{256} << 20;
  using Clock = std::chrono::steady_clock;
  const at::Tensor block = at::ones({kBytes / 4}, at::TensorOptions(device).dtype(at::kFloat));
  double seconds = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < 5; ++pass) {
    synchronize(device);
    const auto start = Clock::now();
    const at::Tensor sum = block.sum();
    synchronize(device);
    seconds = std::min(seconds, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return static_cast<double>(kBytes) / seconds;
}

}  // namespace promptdistill::examples
