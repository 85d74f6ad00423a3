#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Where the tests find SmolLM2-135M-Instruct: tests/run.sh prepares it and sets
// PROMPTDISTILL_MODEL_DIR.

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tests/catch.hpp"

namespace promptdistill::test {

/// Whether a test asked for the model and did not get it.
inline bool& real_model_missed() {
  static bool missed = false;
  return missed;
}

/// The folder, or nothing: the test should then return. It fails where PROMPTDISTILL_REQUIRE_MODEL
/// is set.
inline std::optional<std::filesystem::path> real_model() {
  const char* folder = std::getenv("PROMPTDISTILL_MODEL_DIR");
  if (folder != nullptr && std::filesystem::exists(std::filesystem::path(folder) / "config.json"))
    return folder;
  real_model_missed() = true;
  const char* why = "PROMPTDISTILL_MODEL_DIR names no model; tests/run.sh prepares it";
  if (std::getenv("PROMPTDISTILL_REQUIRE_MODEL") != nullptr) FAIL(why);
  WARN("skipped: " << why);
  return std::nullopt;
}

}  // namespace promptdistill::test
