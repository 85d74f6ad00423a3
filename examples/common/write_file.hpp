#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Writes a file whole or not at all.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "promptdistill/io/replace_file.hpp"

namespace promptdistill::examples {

/// Throws SaveError where write_file could not write: better told before the work than after it.
inline void check_writable(const std::filesystem::path& path) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  const bool direct = exists && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  int error = 0;
  if (path.empty()) {
    error = ENOENT;
  } else if (exists && S_ISDIR(status.st_mode)) {
    error = EISDIR;
  } else if (direct ? ::access(path.c_str(), W_OK) != 0
                    : ::access(folder.c_str(), W_OK | X_OK) != 0) {
    error = errno;
  }
  if (error != 0) throw SaveError(path, error);
}

/// Writes `path` as ReplaceFile does, whole or not at all. Throws SaveError.
inline void write_file(const std::filesystem::path& path, std::string_view content) {
  ReplaceFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

/// write_file, or standard output where `path` is "-": as it stands, which may be a file that
/// others append to.
inline void write_output(const std::string& path, std::string_view content) {
  if (path != "-") return write_file(path, content);
  if (std::fwrite(content.data(), 1, content.size(), stdout) != content.size() ||
      std::fflush(stdout) != 0)
    throw std::runtime_error(std::string("promptdistill: cannot write to standard output: ") +
                             std::strerror(errno));
}

}  // namespace promptdistill::examples
