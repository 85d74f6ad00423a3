// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
#include "promptdistill/promptdistill.hpp"

struct Mine {
  void check_heads(std::int64_t) const {}
  at::Tensor score(const promptdistill::LayerProbe& probe) const { return probe.keys; }
};

promptdistill::Distiller<Mine> policy(promptdistill::Schedule{});
