// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
#include "promptdistill/promptdistill.hpp"

struct Mine {
  std::int64_t candidates(std::int64_t tokens, std::int64_t) const { return tokens; }
  std::vector<std::int64_t> select(const at::Tensor&, std::int64_t, std::int64_t) const {
    return {};
  }
};

promptdistill::Distiller<promptdistill::LastQueryScorer, Mine> policy(promptdistill::Schedule{});
