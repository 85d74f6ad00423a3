// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs the tests of one folder. Exit code 4 tells ctest that a test of the real model was skipped.

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#endif
#include "tests/catch.hpp"
#include "tests/real_model.hpp"

int main(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  if (result != 0 || !promptdistill::test::real_model_missed()) return result;
  return 4;
}
