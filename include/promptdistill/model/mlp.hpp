#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The gated MLP of LLaMA.

#include <ATen/ATen.h>

#include "promptdistill/model/layers.hpp"

namespace promptdistill {

/// down(silu(gate(x)) * up(x)); members are named as the checkpoint names them.
struct Mlp {
  Linear gate_proj, up_proj, down_proj;

  at::Tensor operator()(const at::Tensor& x) const {  // [S, E] -> [S, E]
    at::Tensor gate = gate_proj(x);
    at::Tensor up = up_proj(x);
    if (cpu::readable(gate, up)) {
      cpu::call_for(gate.scalar_type(), [&]<class T>() { cpu::swiglu<T>(gate, up); });
    } else {
      at::silu_(gate).mul_(up);
    }
    up = at::Tensor();  // not needed beside what follows
    return down_proj(gate);
  }
};

}  // namespace promptdistill
