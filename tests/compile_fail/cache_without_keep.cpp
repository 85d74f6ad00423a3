// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
#include "promptdistill/promptdistill.hpp"

struct Mine {
  void cut(std::int64_t, const promptdistill::Retention&) {}
};

void cut(const promptdistill::Retention& kept, const at::Tensor& positions) {
  Mine cache;
  promptdistill::truncate(promptdistill::Distiller<>(promptdistill::Schedule{}), 14, kept,
                          positions, cache);
}
