#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Writes a file whole or not at all.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "promptdistill/io/save_error.hpp"

namespace promptdistill {

/// Fills a temporary file beside `path`; commit() syncs it and renames it, so that `path` is the
/// old file or the new one at any moment, with the permissions that the old one had or that the
/// umask leaves a new one. Without a commit the temporary one is removed (a killed process leaves
/// it: `path`, the process's number and another). A path that is no regular file (/dev/stdout, a
/// pipe) is written to directly.
class ReplaceFile {
 public:
  /// Throws SaveError, as do write and commit.
  explicit ReplaceFile(std::filesystem::path path) : path_(std::move(path)) {
    struct stat status {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    direct_ = exists && !S_ISREG(status.st_mode);
    if (exists) mode_ = status.st_mode & 07777;  // at the end: what is private never shows
    if (exists && !direct_) path_ = std::filesystem::canonical(path_);  // a link stays one
    name_ = path_.string();
    if (direct_) file_ = ::open(name_.c_str(), O_WRONLY | O_CLOEXEC);
    for (int i = 0; !direct_ && file_ < 0; ++i) {  // not mkostemp, which ignores the umask
      name_ = path_.string() + "." + std::to_string(::getpid()) + "-" + std::to_string(i);
      file_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_ ? 0600 : 0666);
      if (file_ < 0 && errno != EEXIST) break;
    }
    if (file_ < 0) throw SaveError(path_, errno);
  }
  ReplaceFile(const ReplaceFile&) = delete;
  ReplaceFile& operator=(const ReplaceFile&) = delete;
  ~ReplaceFile() {
    if (file_ >= 0) ::close(file_);
    if (!name_.empty() && !direct_) ::unlink(name_.c_str());
  }

  void write(const void* data, std::size_t size) {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // of one call, which Linux limits
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t written = ::write(file_, bytes, std::min(size, kMost));
      if (written < 0 && errno != EINTR) throw SaveError(path_, errno);
      if (written <= 0) continue;
      bytes += written;
      size -= static_cast<std::size_t>(written);
    }
  }

  void commit() {
    if (!direct_ && ((mode_ && ::fchmod(file_, *mode_) != 0) || ::fsync(file_) != 0))
      throw SaveError(path_, errno);
    if (::close(std::exchange(file_, -1)) != 0) throw SaveError(path_, errno);
    if (direct_) return;
    if (::rename(name_.c_str(), path_.c_str()) != 0) throw SaveError(path_, errno);
    name_.clear();
    // The new name lasts only once its folder is on the disk; what cannot be synced is no error.
    const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
    const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    ::fsync(directory);
    ::close(directory);
  }

 private:
  std::filesystem::path path_;
  std::string name_;  // of what is written to; empty once it is renamed
  int file_ = -1;
  std::optional<mode_t> mode_;  // that the old file had
  bool direct_ = false;
};

}  // namespace promptdistill
