#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A projection and a norm as plain weights: no random initialisation, and a member per tensor of
// the checkpoint.

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "promptdistill/model/cpu/gemv.hpp"
#include "promptdistill/model/cpu/row_kernels.hpp"

namespace promptdistill {

namespace detail {

/// x W^T: one row by the kernel that is bound by reading W, more by the matrix library.
inline at::Tensor project(const at::Tensor& x, const at::Tensor& weight) {  // [S, in] -> [S, out]
  if (x.size(0) != 1 || !cpu::readable(x, weight)) return at::linear(x, weight);
  at::Tensor out = at::empty({1, weight.size(0)}, x.options());
  cpu::call_for(x.scalar_type(), [&]<class T>() { cpu::gemv<T>(weight, x[0], out[0]); });
  return out;
}

}  // namespace detail

/// y = x W^T + b.
struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out], undefined where the checkpoint has none

  at::Tensor operator()(const at::Tensor& x) const {
    if (!bias.defined()) return detail::project(x, weight);
    return x.size(0) == 1 ? detail::project(x, weight).add_(bias) : at::linear(x, weight, bias);
  }
};

/// x / rms(x) * weight; the mean of squares in float32 whatever the dtype, as Hugging Face does.
struct RmsNorm {
  at::Tensor weight;  // [E]
  double eps = 1e-5;

  at::Tensor operator()(const at::Tensor& x) const {  // [..., E] -> [..., E]
    if (cpu::readable(x, weight)) {
      at::Tensor out = at::empty(x.sizes(), x.options());
      const at::Tensor rows = x.reshape({-1, x.size(-1)});
      cpu::call_for(x.scalar_type(), [&]<class T>() {
        cpu::rms_norm<T>(rows, weight, eps, out.view(rows.sizes()));
      });
      return out;
    }
    if (!x.is_cpu()) return at::rms_norm(x, weight.sizes(), weight, eps);  // one pass, in float32
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor scale = wide.square().mean(-1, true).add_(eps).rsqrt_();
    return wide.mul(scale).to(x.scalar_type()).mul_(weight);
  }
};

}  // namespace promptdistill
