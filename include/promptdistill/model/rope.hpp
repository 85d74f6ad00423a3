#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Rotary position embeddings in the half-split form of Hugging Face checkpoints, looked up by true
// positions.

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "promptdistill/model/model_config.hpp"

namespace promptdistill {

/// cos and sin of a set of positions, each [S, 1, D/2], in the model's dtype.
struct RotaryAngles {
  at::Tensor cos;
  at::Tensor sin;

  /// Rotates heads: x [S, heads, D], S the angles' own.
  at::Tensor rotate(const at::Tensor& x) const {  // [S, heads, D]
    const std::int64_t half = x.size(-1) / 2;
    const at::Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
    at::Tensor out = at::empty(x.sizes(), x.options());
    at::Tensor left = out.narrow(-1, 0, half), right = out.narrow(-1, half, half);
    at::mul_out(left, a, cos).sub_(b * sin);
    at::mul_out(right, b, cos).add_(a * sin);
    return out;
  }

  RotaryAngles index_select(const at::Tensor& indices) const {
    return {cos.index_select(0, indices), sin.index_select(0, indices)};
  }
  RotaryAngles narrow(std::int64_t start, std::int64_t length) const {
    return {cos.narrow(0, start, length), sin.narrow(0, start, length)};
  }
};

/// Inverse frequencies of a config, float32 as Hugging Face computes them.
class Rope {
 public:
  Rope() = default;
  Rope(const ModelConfig& config, at::Device device) {
    const std::int64_t half = config.head_dim / 2;
    const RopeConfig& rope = config.rope;
    const at::Tensor exponent =
        at::arange(0, 2 * half, 2, at::kFloat).div(static_cast<float>(2 * half));
    at::Tensor frequencies = at::pow(static_cast<float>(rope.theta), exponent).reciprocal();
    if (rope.type == RopeConfig::Type::kLlama3) frequencies = llama3(frequencies, rope);
    inverse_frequencies_ = frequencies.to(device);
  }

  /// Angles are computed in float32 and rounded to `dtype` once.
  RotaryAngles at_positions(const at::Tensor& positions /* [S] */, at::ScalarType dtype) const {
    const at::Tensor angles = positions.to(at::kFloat)
                                  .unsqueeze(1)
                                  .mul(inverse_frequencies_)
                                  .unsqueeze(1);  // [S, 1, D/2]
    return {angles.cos().to(dtype), angles.sin().to(dtype)};
  }

 private:
  /// Llama 3's scaling: long wavelengths are slowed by `factor`, short ones left, those between
  /// blended.
  static at::Tensor llama3(const at::Tensor& frequencies, const RopeConfig& rope) {
    const double context = static_cast<double>(rope.original_max_position_embeddings);
    const at::Tensor wavelengths = frequencies.reciprocal().mul(2 * std::numbers::pi);
    const at::Tensor slowed = frequencies.div(rope.factor);
    const at::Tensor blend = wavelengths.reciprocal()
                                 .mul(context)
                                 .sub(rope.low_freq_factor)
                                 .div(rope.high_freq_factor - rope.low_freq_factor);
    const at::Tensor blended = (1 - blend) * slowed + blend * frequencies;
    const at::Tensor long_waves = wavelengths.gt(context / rope.low_freq_factor);
    const at::Tensor short_waves = wavelengths.lt(context / rope.high_freq_factor);
    return at::where(long_waves, slowed, at::where(short_waves, frequencies, blended));
  }

  at::Tensor inverse_frequencies_;  // [D/2] float32
};

}  // namespace promptdistill
