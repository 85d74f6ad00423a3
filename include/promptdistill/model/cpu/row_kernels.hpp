#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a layer does to each token between its projections, in one pass over memory: RMSNorm,
// rotary embedding, SwiGLU.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "promptdistill/model/cpu/lanes.hpp"

namespace promptdistill::cpu {

/// Elements that pay for a thread's wake-up.
inline constexpr std::int64_t kGrain = 8192;

inline std::int64_t row_grain(std::int64_t elements) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(elements, 1));
}

/// Rounds to T's precision and back.
template <class T>
PROMPTDISTILL_INLINE void round_to(Lanes& lanes) {
  if constexpr (!std::is_same_v<T, float>) {
    T rounded[kLanes];
    store(lanes, rounded);
    load(rounded, lanes);
  }
}

/// x / rms(x) rounded, times weight and rounded again, as Hugging Face does.
template <class T>
void rms_norm(const at::Tensor& x,       // [S, E]
              const at::Tensor& weight,  // [E]
              double eps,
              const at::Tensor& out) {  // [S, E]
  const std::int64_t size = x.size(1), x_stride = x.stride(0), out_stride = out.stride(0);
  const T* const input = x.const_data_ptr<T>();
  const T* const scale = weight.const_data_ptr<T>();
  T* const output = out.mutable_data_ptr<T>();
  parallel_for(
      out.select(1, 0),
      row_grain(size), [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
        for (std::int64_t row = begin; row < end; ++row) {
          const T* const from = input + row * x_stride;
          T* const to = output + row * out_stride;
          Lanes squares = {}, values, weights;
          std::int64_t i = 0;
          for (; i + kLanes <= size; i += kLanes) {
            load(from + i, values);
            squares += values * values;
          }
          const std::int64_t rest = size - i;
          if (rest > 0) {
            load_some(from + i, rest, values);
            squares += values * values;
          }
          const float factor =
              1 / std::sqrt(sum(squares) / static_cast<float>(size) + static_cast<float>(eps));
          for (i = 0; i + kLanes <= size; i += kLanes) {
            load(from + i, values);
            load(scale + i, weights);
            values *= factor;
            round_to<T>(values);
            values *= weights;
            store(values, to + i);
          }
          if (rest > 0) {
            load_some(from + i, rest, values);
            load_some(scale + i, rest, weights);
            values *= factor;
            round_to<T>(values);
            values *= weights;
            store_some(values, rest, to + i);
          }
        }
      });
}

/// Rotates the first 2 * half elements of every head in place, in float32 and rounded once.
template <class T>
void rotate(const at::Tensor& x,      // [S, heads, D], a token's heads dense
            const at::Tensor& cos,    // [S, half]
            const at::Tensor& sin) {  // [S, half]
  const std::int64_t heads = x.size(1), size = x.size(2), half = cos.size(1),
                     x_stride = x.stride(0), cos_stride = cos.stride(0), sin_stride = sin.stride(0);
  T* const tokens = x.mutable_data_ptr<T>();
  const T* const all_cos = cos.const_data_ptr<T>();
  const T* const all_sin = sin.const_data_ptr<T>();
  const std::int64_t dense = half / kLanes * kLanes;
  parallel_for(
      x.select(2, 0).select(1, 0), row_grain(heads * size),
      [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
        for (std::int64_t token = begin; token < end; ++token) {
          const T* const c = all_cos + token * cos_stride;
          const T* const s = all_sin + token * sin_stride;
          for (std::int64_t head = 0; head < heads; ++head) {
            T* const a = tokens + token * x_stride + head * size;
            T* const b = a + half;
            for (std::int64_t i = 0; i < dense; i += kLanes) {
              Lanes left, right, cosine, sine;
              load(a + i, left);
              load(b + i, right);
              load(c + i, cosine);
              load(s + i, sine);
              const Lanes turned_left = left * cosine - right * sine;
              const Lanes turned_right = right * cosine + left * sine;
              store(turned_left, a + i);
              store(turned_right, b + i);
            }
            for (std::int64_t i = dense; i < half; ++i) {
              const float left = a[i], right = b[i], cosine = c[i], sine = s[i];
              a[i] = static_cast<T>(left * cosine - right * sine);
              b[i] = static_cast<T>(right * cosine + left * sine);
            }
          }
        }
      });
}

/// gate <- silu(gate) * up, in float32 and rounded once.
template <class T>
void swiglu(const at::Tensor& gate,  // [S, M]
            const at::Tensor& up) {  // [S, M]
  const std::int64_t size = gate.size(1), gate_stride = gate.stride(0), up_stride = up.stride(0);
  T* const gates = gate.mutable_data_ptr<T>();
  const T* const ups = up.const_data_ptr<T>();
  parallel_for(
      gate.select(1, 0),
      row_grain(size), [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
        for (std::int64_t row = begin; row < end; ++row) {
          T* const g = gates + row * gate_stride;
          const T* const u = ups + row * up_stride;
          const auto one = [&](Lanes & x, const Lanes& y) __attribute__((always_inline)) {
            Lanes power = -x;
            exp(power);
            x = x * y / (1.0f + power);
          };
          Lanes x, y;
          std::int64_t i = 0;
          for (; i + kLanes <= size; i += kLanes) {
            load(g + i, x);
            load(u + i, y);
            one(x, y);
            store(x, g + i);
          }
          if (i < size) {
            load_some(g + i, size - i, x);
            load_some(u + i, size - i, y);
            one(x, y);
            store_some(x, size - i, g + i);
          }
        }
      });
}

}  // namespace promptdistill::cpu
