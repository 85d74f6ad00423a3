// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
#include <promptdistill/promptdistill.hpp>
#ifdef WITH_MODEL
#include <promptdistill/model.hpp>
#include <promptdistill/text.hpp>
#endif

std::int64_t kept_by_second_unit(const at::Tensor& queries, const at::Tensor& keys) {
  const promptdistill::AnyDistiller policy =
      promptdistill::Distiller<>(promptdistill::Schedule({{0, promptdistill::Count{9}}}));
  const auto kept = promptdistill::select(policy, 0, queries, keys, at::arange(100));
  return kept ? kept->indices().numel() : -1;
}
