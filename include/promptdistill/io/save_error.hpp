#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The one exception for files that cannot be written.

#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

namespace promptdistill {

/// what() reads "promptdistill: cannot write <path>: <reason>". What was there before is as it was.
class SaveError : public std::runtime_error {
 public:
  SaveError(std::filesystem::path path, const std::string& reason)
      : std::runtime_error("promptdistill: cannot write " + (path.empty() ? "''" : path.string()) +
                           ": " + reason),
        path_(std::move(path)) {}
  SaveError(std::filesystem::path path, int error)  // of errno
      : SaveError(std::move(path), std::string(std::strerror(error))) {}

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace promptdistill
