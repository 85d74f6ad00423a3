#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Writes a file whole or not at all.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace promptdistill::examples {

/// Throws std::runtime_error where write_file could not write: better told before the work than
/// after it.
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
  if (error != 0) {
    throw std::runtime_error("promptdistill: cannot write " +
                             (path.empty() ? "''" : path.string()) + ": " + std::strerror(error));
  }
}

/// Fills a temporary file beside `path`, syncs it and renames it, so that `path` is the old file or
/// the new one, with the permissions that the old one had. A path that is no regular file
/// (/dev/stdout, a pipe) is written to directly. Throws std::runtime_error naming the path and the
/// reason.
inline void write_file(std::filesystem::path path, std::string_view content) {
  const auto fail = [path](int error) {
    throw std::runtime_error("promptdistill: cannot write " + path.string() + ": " +
                             std::strerror(error));
  };
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0,
             direct = exists && !S_ISREG(status.st_mode);
  if (exists && !direct) path = std::filesystem::canonical(path);  // a link stays one
  std::string name = direct ? path.string() : path.string() + ".XXXXXX";
  const int file =
      direct ? ::open(name.c_str(), O_WRONLY | O_CLOEXEC) : ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) fail(errno);
  int error = 0;
  while (!content.empty() && error == 0) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written > 0) content.remove_prefix(static_cast<std::size_t>(written));
    if (written < 0 && errno != EINTR) error = errno;
  }
  const mode_t mode = exists ? status.st_mode & 07777 : 0644;
  if (error == 0 && !direct && (::fchmod(file, mode) != 0 || ::fsync(file) != 0)) error = errno;
  if (::close(file) != 0 && error == 0) error = errno;
  if (!direct && error == 0 && ::rename(name.c_str(), path.c_str()) != 0) error = errno;
  if (!direct && error != 0) ::unlink(name.c_str());
  if (error != 0) fail(error);
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
