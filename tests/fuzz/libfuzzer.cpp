// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's entry to one of the targets.

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  promptdistill::test::PROMPTDISTILL_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
