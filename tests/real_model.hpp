#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Where the tests find SmolLM2-135M-Instruct and the tokenizers of other families: tests/run.sh
// prepares them and sets PROMPTDISTILL_MODEL_DIR and PROMPTDISTILL_TOKENIZERS_DIR.

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "tests/catch.hpp"

namespace promptdistill::test {

/// Whether a test asked for the model and did not get it.
inline bool& real_model_missed() {
  static bool missed = false;
  return missed;
}

/// The folder that an environment variable names, or nothing where it has no such file: the test
/// should then return. It fails where PROMPTDISTILL_REQUIRE_MODEL is set.
inline std::optional<std::filesystem::path> prepared_folder(const char* variable,
                                                            const char* file) {
  const char* folder = std::getenv(variable);
  if (folder != nullptr && std::filesystem::exists(std::filesystem::path(folder) / file))
    return folder;
  real_model_missed() = true;
  const std::string why =
      std::string(variable) + " names no folder with " + file + "; tests/run.sh prepares it";
  if (std::getenv("PROMPTDISTILL_REQUIRE_MODEL") != nullptr) FAIL(why);
  WARN("skipped: " << why);
  return std::nullopt;
}

inline std::optional<std::filesystem::path> real_model() {
  return prepared_folder("PROMPTDISTILL_MODEL_DIR", "config.json");
}

/// A folder of tests/golden/make_tokenizers.py: tokenizer.json and golden.json.
inline std::optional<std::filesystem::path> real_tokenizer(const std::string& name) {
  const auto folder =
      prepared_folder("PROMPTDISTILL_TOKENIZERS_DIR", (name + "/golden.json").c_str());
  if (!folder) return std::nullopt;
  return *folder / name;
}

}  // namespace promptdistill::test
