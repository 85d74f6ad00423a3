#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Sixteen floats at once, and loops over them that run with the widest registers that the machine
// has, in the threads of LibTorch.

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace promptdistill::cpu {

/// Kernels pass these by reference: a function that is not compiled for wide registers cannot
/// return them in one.
using Lanes = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));
using Halves = std::uint16_t __attribute__((vector_size(32)));
inline constexpr std::int64_t kLanes = 16;

#define PROMPTDISTILL_INLINE inline __attribute__((always_inline))

/// Whether a kernel can read and write these tensors as they lie: on the host, in one dtype that it
/// knows, the last dimension dense.
template <class... Tensors>
bool readable(const at::Tensor& first, const Tensors&... others) {
  const at::ScalarType dtype = first.scalar_type();
  const auto fits = [dtype](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.scalar_type() == dtype && tensor.stride(-1) == 1;
  };
  return (dtype == at::kFloat || dtype == at::kBFloat16) && fits(first) && (fits(others) && ...);
}

/// function.operator()<T>() for the element type of a readable() tensor.
template <class Function>
auto call_for(at::ScalarType dtype, const Function& function) {
  if (dtype == at::kFloat) return function.template operator()<float>();
  return function.template operator()<c10::BFloat16>();
}

PROMPTDISTILL_INLINE void load(const float* from, Lanes& to) { std::memcpy(&to, from, 64); }
PROMPTDISTILL_INLINE void load(const c10::BFloat16* from, Lanes& to) {
  Halves bits;
  std::memcpy(&bits, from, 32);
  const Words wide = __builtin_convertvector(bits, Words) << 16;
  std::memcpy(&to, &wide, 64);
}
PROMPTDISTILL_INLINE void load(const std::int8_t* from, Lanes& to) {
  using Bytes = std::int8_t __attribute__((vector_size(16)));
  Bytes bytes;
  std::memcpy(&bytes, from, 16);
  to = __builtin_convertvector(bytes, Lanes);
}
PROMPTDISTILL_INLINE void store(const Lanes& from, float* to) { std::memcpy(to, &from, 64); }
/// Rounds to nearest even; a NaN stays one.
PROMPTDISTILL_INLINE void store(const Lanes& from, c10::BFloat16* to) {
  Words bits;
  std::memcpy(&bits, &from, 64);
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Halves out = __builtin_convertvector(from == from ? rounded : Words{} + 0x7fc0u, Halves);
  std::memcpy(to, &out, 32);
}

/// body(0), ..., body(count - 1) with the number as a constant, so that arrays indexed by it stay
/// in registers at any level of optimisation.
template <int count, class Body>
PROMPTDISTILL_INLINE void unrolled(const Body& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, count>{});
}

/// Asks memory for what will be read soon. Processors do not look beyond a page of 4 KiB
/// themselves; without this a mapped file is read at two thirds of the speed. The address need not
/// exist.
PROMPTDISTILL_INLINE void prefetch(const void* address) { __builtin_prefetch(address); }

/// The first `count` < 16 elements, zeros behind them.
template <class T>
PROMPTDISTILL_INLINE void load_some(const T* from, std::int64_t count, Lanes& to) {
  T elements[kLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) elements[i] = from[i];
  load(elements, to);
}
template <class T>
PROMPTDISTILL_INLINE void store_some(const Lanes& from, std::int64_t count, T* to) {
  T elements[kLanes];
  store(from, elements);
  for (std::int64_t i = 0; i < count; ++i) to[i] = elements[i];
}

/// The sum of each of sixteen vectors, in their order. Four rounds of adding halves cost a fifth of
/// sixteen separate sums.
PROMPTDISTILL_INLINE void sum_each(const Lanes (&vectors)[kLanes], Lanes& sums) {
  Lanes eight[8], four[4], two[2];
  for (int i = 0; i < 8; ++i) {
    const Lanes &a = vectors[i], &b = vectors[i + 8];
    eight[i] =
        __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
        __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  for (int i = 0; i < 4; ++i) {
    const Lanes &a = eight[i], &b = eight[i + 4];
    four[i] =
        __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
        __builtin_shufflevector(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  }
  for (int i = 0; i < 2; ++i) {
    const Lanes &a = four[i], &b = four[i + 2];
    two[i] =
        __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
        __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  sums = __builtin_shufflevector(two[0], two[1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28,
                                 14, 30) +
         __builtin_shufflevector(two[0], two[1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29,
                                 15, 31);
}

PROMPTDISTILL_INLINE float sum(const Lanes& lanes) {
  using Eight = float __attribute__((vector_size(32)));
  using Four = float __attribute__((vector_size(16)));
  Eight low8, high8;
  std::memcpy(&low8, &lanes, 32);
  std::memcpy(&high8, reinterpret_cast<const char*>(&lanes) + 32, 32);
  low8 += high8;
  Four low4, high4;
  std::memcpy(&low4, &low8, 16);
  std::memcpy(&high4, reinterpret_cast<const char*>(&low8) + 16, 16);
  low4 += high4;
  return (low4[0] + low4[2]) + (low4[1] + low4[3]);
}

/// e^x to about two units in the last place, in place. x <= 0 is what softmax needs, x up to 88 is
/// right too; below -87 it is 0, NaN stays NaN.
PROMPTDISTILL_INLINE void exp(Lanes& x) {
  // x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its series (Cephes' coefficients), 2^n as exponent.
  const Lanes limited = x < -87.0f ? Lanes{} - 87.0f : x > 88.0f ? Lanes{} + 88.0f : x;
  const Lanes shifted = limited * 1.44269504088896341f + 12582912.0f;  // rounds to an integer
  const Lanes n = shifted - 12582912.0f;
  const Lanes r = limited - n * 0.693359375f - n * -2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Words bits;
  std::memcpy(&bits, &shifted, 64);
  const Words power = (bits + 127u) << 23;  // the integer stands in shifted's low bits
  Lanes scale;
  std::memcpy(&scale, &power, 64);
  x = x < -87.0f ? Lanes{} : p * scale;
}

namespace detail {

#if defined(__x86_64__)
template <class Body>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"), flatten)) void run_avx512(
    const Body& body) {
  body();
}
template <class Body>
__attribute__((target("avx2,fma"), flatten)) void run_avx2(const Body& body) {
  body();
}
#endif

/// Runs a kernel's loop, which must be inlined whole (PROMPTDISTILL_INLINE on its call operator),
/// compiled for the machine it runs on.
template <class Body>
void run_wide(const Body& body) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return run_avx512(body);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return run_avx2(body);
#endif
  body();
}

}  // namespace detail

/// Calls body(begin, end) for ranges of at least `grain` of the elements of `places` (as many as
/// there are tasks), in LibTorch's threads. at::parallel_for would be the plain way, but in a
/// header it is parallel only where the user compiles with the OpenMP that LibTorch was built with;
/// TensorIterator's is LibTorch's own.
template <class Body>
void parallel_for(const at::Tensor& places, std::int64_t grain, const Body& body) {
  const at::Tensor line = places.dim() == 1 ? places : places.view({-1});
  auto iterator = at::TensorIteratorConfig()
                      .check_all_same_dtype(false)
                      .resize_outputs(false)
                      .add_borrowed_output(line)
                      .build();
  const char* base = static_cast<const char*>(line.data_ptr());
  const std::int64_t stride = line.stride(0) * static_cast<std::int64_t>(line.element_size());
  iterator.for_each(
      [&](char** data, const std::int64_t*, std::int64_t count, std::int64_t) {
        const std::int64_t begin = line.numel() > 1 ? (data[0] - base) / stride : 0;
        detail::run_wide([&]() __attribute__((always_inline)) { body(begin, begin + count); });
      },
      grain);
}

}  // namespace promptdistill::cpu
