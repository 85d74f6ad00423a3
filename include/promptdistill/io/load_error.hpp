#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The one exception for files that are missing, damaged or not what they should be.

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

namespace promptdistill {

/// what() reads "promptdistill: <path>: <subject> <rule>", as in "model.safetensors: tensor
/// lm_head.weight is missing".
class LoadError : public std::runtime_error {
 public:
  /// `subject`: the tensor, key or part of the file; `problem`: the rule it breaks and what was
  /// found instead.
  LoadError(std::filesystem::path path, std::string subject, const std::string& problem)
      : std::runtime_error("promptdistill: " + path.string() + ": " + subject + " " + problem),
        path_(std::move(path)),
        subject_(std::move(subject)) {}

  const std::filesystem::path& path() const { return path_; }
  const std::string& subject() const { return subject_; }

 private:
  std::filesystem::path path_;
  std::string subject_;
};

}  // namespace promptdistill
