#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The device that tests of models run on.

#include <ATen/ATen.h>

#include <cstdlib>

namespace promptdistill::test {

/// The CPU, or what PROMPTDISTILL_TEST_DEVICE says: cuda, cuda:1.
inline at::Device test_device() {
  const char* named = std::getenv("PROMPTDISTILL_TEST_DEVICE");
  return named != nullptr ? at::Device(named) : at::Device(at::kCPU);
}

}  // namespace promptdistill::test
