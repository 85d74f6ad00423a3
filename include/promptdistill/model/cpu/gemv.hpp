#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One token through a projection, at the speed at which memory gives the weights.

#include <ATen/ATen.h>

#include <cstdint>

#include "promptdistill/model/cpu/lanes.hpp"

namespace promptdistill::cpu {

/// Products of `x` with `kRows` rows of a matrix, summed in float32; asks for the rows after them.
template <int kRows, class T>
PROMPTDISTILL_INLINE void dot_rows(
    const T* matrix, std::int64_t stride, const T* x, std::int64_t size, float* out) {
  Lanes sums[kRows] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    Lanes xs;
    load(x + i, xs);
    unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
      Lanes weights;
      load(matrix + r * stride + i, weights);
      prefetch(matrix + (r + kRows) * stride + i);
      sums[r] += weights * xs;
    });
  }
  if (i < size) {
    Lanes xs;
    load_some(x + i, size - i, xs);
    unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
      Lanes weights;
      load_some(matrix + r * stride + i, size - i, weights);
      sums[r] += weights * xs;
    });
  }
  unrolled<kRows>([&](auto r) __attribute__((always_inline)) { out[r] = sum(sums[r]); });
}

/// W x, accumulated in float32 and rounded once. All three as readable() says, of one dtype.
template <class T>
void gemv(const at::Tensor& weight,  // [out, in]
          const at::Tensor& x,       // [in]
          const at::Tensor& out) {   // [out]
  const T* const matrix = weight.const_data_ptr<T>();
  const T* const input = x.const_data_ptr<T>();
  T* const output = out.mutable_data_ptr<T>();
  const std::int64_t size = weight.size(1), stride = weight.stride(0);
  // 64 KiB of weights pay for a thread's wake-up.
  const std::int64_t grain = 1 + (64 << 10) / static_cast<std::int64_t>(sizeof(T)) / size;
  parallel_for(
      out, grain, [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
        std::int64_t row = begin;
        float sums[4];
        for (; row + 4 <= end; row += 4) {
          dot_rows<4>(matrix + row * stride, stride, input, size, sums);
          for (int r = 0; r < 4; ++r) output[row + r] = static_cast<T>(sums[r]);
        }
        for (; row < end; ++row) {
          dot_rows<1>(matrix + row * stride, stride, input, size, sums);
          output[row] = static_cast<T>(sums[0]);
        }
      });
}

}  // namespace promptdistill::cpu
