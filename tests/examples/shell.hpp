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
// Catch2 after what brings ATen: its CHECK is the one to have.
#include "tests/catch.hpp"

namespace promptdistill::test {

struct ProgramRun {
  int code;
  std::string out, err;
};

/// A folder of this test's own, and the programs run in it.
struct Shell {
  TempDir folder;

  /// `arguments` begin with the program's name; relative paths are the folder's.
  ProgramRun operator()(const std::string& arguments, const std::string& input = "") const {
    write("stdin", input);
    const std::string command = "cd " + folder.path().string() +
                                " && exec <stdin >stdout 2>stderr && " PROMPTDISTILL_BIN_DIR "/" +
                                arguments;
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(folder / "stdout"),
            read_bytes(folder / "stderr")};
  }

  void write(const std::string& name, const std::string& text) const { folder.write(name, text); }
  nlohmann::json read(const std::string& name) const {
    return nlohmann::json::parse(read_bytes(folder / name));
  }
};

/// Ended with this code and message, and nothing on standard output.
inline void require_message(const ProgramRun& ran, int code, const std::string& message) {
  INFO(ran.err);
  CHECK(ran.code == code);
  CHECK_THAT(ran.err, Catch::Matchers::Contains(message));
  CHECK(ran.out.empty());
}

}  // namespace promptdistill::test
