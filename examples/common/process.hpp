#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs another program and takes what it prints.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "examples/common/progress.hpp"

namespace promptdistill::examples {

struct ProcessRun {
  int code;  // the exit code, or 128 and the signal that ended it
  std::string out;
};

/// Runs `arguments`[0], looked for in PATH unless it has a slash, in `folder` where one is given,
/// and reads its standard output to the end; standard error is ours. Nothing is returned where
/// there is no such program. Throws Interrupted where Ctrl-C ended it.
inline std::optional<ProcessRun> run_process(const std::vector<std::string>& arguments,
                                             const std::filesystem::path& folder = {}) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    throw std::runtime_error(std::string("cannot make a pipe: ") + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  if (!folder.empty()) ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  std::vector<char*> argv;
  for (const std::string& argument : arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));  // POSIX leaves them as they are
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  ProcessRun run{};
  std::array<char, 4096> buffer;
  while (error == 0) {
    const ssize_t got = ::read(pipe[0], buffer.data(), buffer.size());
    if (got > 0) run.out.append(buffer.data(), static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  ::close(pipe[0]);
  if (error == ENOENT) return std::nullopt;
  if (error != 0)
    throw std::runtime_error("cannot run " + arguments[0] + ": " + std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (interrupted()) throw Interrupted();
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

}  // namespace promptdistill::examples
