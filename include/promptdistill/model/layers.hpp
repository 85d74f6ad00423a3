#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A projection and a norm as plain weights: no random initialisation, and a member per tensor of
// the checkpoint.

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

namespace promptdistill {

/// y = x W^T + b.
struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined where the checkpoint has none

  at::Tensor operator()(const at::Tensor& x) const {
    return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  }
};

/// x / rms(x) * weight; the mean of squares in float32 whatever the dtype, as Hugging Face does.
struct RmsNorm {
  at::Tensor weight;  // [E]
  double eps = 1e-5;

  at::Tensor operator()(const at::Tensor& x) const {  // [S, E] -> [S, E]
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor scale = wide.square().mean(-1, true).add_(eps).rsqrt_();
    return wide.mul(scale).to(x.scalar_type()).mul_(weight);
  }
};

}  // namespace promptdistill
