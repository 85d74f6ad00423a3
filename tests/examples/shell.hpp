#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs our programs as a user does, in a folder of the test's own.

#include <sys/wait.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/io/files.hpp"

namespace promptdistill::test {

struct ProgramRun {
  int code;
  std::string out, err;
};

/// `arguments` begin with the program's name; relative paths are the folder's.
inline ProgramRun run_in(const TempDir& folder, const std::string& arguments) {
  const std::string command = "cd " + folder.path().string() +
                              " && exec </dev/null >stdout 2>stderr && " PROMPTDISTILL_BIN_DIR "/" +
                              arguments;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder / "stdout"),
          read_bytes(folder / "stderr")};
}

}  // namespace promptdistill::test
