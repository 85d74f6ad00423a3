// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A user's program: two units that include all of the library. Prints what one stage keeps.

#include <cstdio>
#include <promptdistill/promptdistill.hpp>
#ifdef WITH_MODEL
#include <promptdistill/model.hpp>
#include <promptdistill/text.hpp>
#endif

std::int64_t kept_by_second_unit(const at::Tensor& queries, const at::Tensor& keys);

int main() {
  const at::Tensor queries = at::ones({1, 4, 1, 8}), keys = at::arange(1600.0).view({1, 2, 100, 8});
  const promptdistill::Distiller<> policy(promptdistill::Schedule({{0, promptdistill::Count{9}}}));
  const auto kept = promptdistill::select(policy, 0, queries, keys, at::arange(100));
  const std::int64_t here = kept ? kept->indices().numel() : -1,
                     there = kept_by_second_unit(queries, keys);
  std::printf("promptdistill %s kept %d and %d of 100 tokens\n", promptdistill::kVersion,
              static_cast<int>(here), static_cast<int>(there));
#ifdef WITH_MODEL
  try {
    promptdistill::load_causal_lm("no/such/folder");
    return 1;
  } catch (const promptdistill::LoadError&) {
  }
#endif
  return here == 10 && there == 10 ? 0 : 1;
}
