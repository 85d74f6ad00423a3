#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Rotary position embeddings in the half-split form of Hugging Face checkpoints, looked up by true
// positions.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "promptdistill/model/cpu/row_kernels.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill {

/// cos and sin of a set of positions, each [S, 1, R/2], in the model's dtype; R elements of a head
/// are rotated, the others pass.
struct RotaryAngles {
  at::Tensor cos;
  at::Tensor sin;

  /// Rotates heads in place and returns them: x [S, heads, D], S the angles' own.
  at::Tensor rotate_(at::Tensor x) const {  // [S, heads, D]
    const std::int64_t half = cos.size(-1);
    const auto by_dtype = [&]<class T>() {
      cpu::rotate<T>(x, cos.select(1, 0), sin.select(1, 0));
      return x;
    };
    if (cpu::readable(x, cos, sin) && x.stride(1) == x.size(2))
      return cpu::call_for(x.scalar_type(), by_dtype);
    at::Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
    const at::Tensor left = a.mul(cos).addcmul_(b, sin, -1);
    b.mul_(cos).addcmul_(a, sin);
    a.copy_(left);
    return x;
  }
};

/// Inverse frequencies of a config, float32 as Hugging Face computes them. longrope and dynamic
/// choose them by the length that the whole request may reach, once: keys that were rotated with
/// one choice cannot be compared with queries of another. (transformers chooses by the tokens so
/// far, and with dynamic again at every step: a documented difference.)
class Rope {
 public:
  Rope() = default;
  Rope(const ModelConfig& config, at::Device device) : config_(config.rope), device_(device) {
    frequencies_ = inverse_frequencies(0).to(device);
    if (config_.type == Type::kLongRope)
      long_frequencies_ =
          inverse_frequencies(config_.original_max_position_embeddings + 1).to(device);
  }

  /// Angles are computed in float32 and rounded to `dtype` once. `request_length`: tokens that the
  /// prompt and all that follows it may have.
  RotaryAngles at_positions(const at::Tensor& positions,  // [S]
                            at::ScalarType dtype,
                            std::int64_t request_length) const {
    const at::Tensor angles = positions.to(at::kFloat)
                                  .unsqueeze(1)
                                  .mul(frequencies(request_length))
                                  .unsqueeze(1);  // [S, 1, R/2]
    at::Tensor cos = angles.cos(), sin = angles.sin();
    if (config_.attention_factor != 1) {
      cos.mul_(config_.attention_factor);
      sin.mul_(config_.attention_factor);
    }
    return {cos.to(dtype), sin.to(dtype)};
  }

  bool depends_on_length() const {
    return config_.type == Type::kLongRope || config_.type == Type::kDynamic;
  }

  /// The most tokens that a request may reach whose frequencies were chosen for `request_length`.
  std::int64_t reach(std::int64_t request_length) const {
    constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
    if (!depends_on_length()) return kAny;
    const std::int64_t original = config_.original_max_position_embeddings;
    if (request_length <= original) return original;
    return config_.type == Type::kLongRope ? kAny : request_length;
  }

 private:
  using Type = RopeConfig::Type;

  at::Tensor frequencies(std::int64_t request_length) const {
    if (request_length <= config_.original_max_position_embeddings) return frequencies_;
    if (config_.type == Type::kLongRope) return long_frequencies_;
    if (config_.type == Type::kDynamic) return inverse_frequencies(request_length).to(device_);
    return frequencies_;
  }

  at::Tensor inverse_frequencies(std::int64_t request_length) const {  // [R/2] float32, on the host
    const std::int64_t dim = config_.rotary_dim;
    const at::Tensor exponent = at::arange(0, dim, 2, at::kFloat).div(static_cast<float>(dim));
    const at::Tensor powers = at::pow(base(request_length), exponent);
    switch (config_.type) {
      case Type::kDefault:
      case Type::kDynamic:
        return powers.reciprocal();
      case Type::kLinear:
        return powers.reciprocal().div(config_.factor);
      case Type::kLlama3:
        return llama3(powers.reciprocal());
      case Type::kYarn:
        return yarn(powers);
      case Type::kLongRope: {
        const bool longer = request_length > config_.original_max_position_embeddings;
        return at::tensor(longer ? config_.long_factor : config_.short_factor, at::kFloat)
            .mul(powers)
            .reciprocal();
      }
    }
    return powers.reciprocal();
  }

  /// Dynamic NTK scaling grows the base with the length: base (s L / L0 - s + 1)^(R / (R - 2)).
  float base(std::int64_t request_length) const {
    const auto theta = static_cast<float>(config_.theta);
    if (config_.type != Type::kDynamic) return theta;
    const auto factor = static_cast<float>(config_.factor);
    const auto original = static_cast<float>(config_.original_max_position_embeddings);
    const float length = std::max(static_cast<float>(request_length), original);
    const auto dim = static_cast<double>(config_.rotary_dim);
    return theta *
           std::pow(factor * length / original - (factor - 1), static_cast<float>(dim / (dim - 2)));
  }

  /// Llama 3's scaling: long wavelengths are slowed by `factor`, short ones left, those between
  /// blended.
  at::Tensor llama3(const at::Tensor& frequencies) const {
    const double context = static_cast<double>(config_.original_max_position_embeddings);
    const at::Tensor wavelengths = frequencies.reciprocal().mul(2 * std::numbers::pi);
    const at::Tensor slowed = frequencies.div(config_.factor);
    const at::Tensor blend = wavelengths.reciprocal()
                                 .mul(context)
                                 .sub(config_.low_freq_factor)
                                 .div(config_.high_freq_factor - config_.low_freq_factor);
    const at::Tensor blended = (1 - blend) * slowed + blend * frequencies;
    const at::Tensor long_waves = wavelengths.gt(context / config_.low_freq_factor);
    const at::Tensor short_waves = wavelengths.lt(context / config_.high_freq_factor);
    return at::where(long_waves, slowed, at::where(short_waves, frequencies, blended));
  }

  /// YaRN, section 3.2: pairs that turn more than beta_fast times within the original context keep
  /// their frequency, those below beta_slow are slowed by `factor`, a ramp between.
  at::Tensor yarn(const at::Tensor& powers) const {
    const auto dim = static_cast<double>(config_.rotary_dim);
    const auto pair_of = [&](double turns) {
      return dim *
             std::log(static_cast<double>(config_.original_max_position_embeddings) /
                      (turns * 2 * std::numbers::pi)) /
             (2 * std::log(config_.theta));
    };
    double low = pair_of(config_.beta_fast), high = pair_of(config_.beta_slow);
    if (config_.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, dim - 1);
    if (low == high) high += 0.001;  // no division by zero
    const at::Tensor kept =
        1 - at::arange(config_.rotary_dim / 2, at::kFloat).sub(low).div(high - low).clamp(0, 1);
    return powers.mul(config_.factor).reciprocal() * (1 - kept) + powers.reciprocal() * kept;
  }

  RopeConfig config_;
  at::Device device_ = at::kCPU;
  at::Tensor frequencies_;       // [R/2] float32
  at::Tensor long_frequencies_;  // the same for longrope beyond the original context
};

}  // namespace promptdistill
