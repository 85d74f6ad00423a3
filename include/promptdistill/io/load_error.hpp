#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The one exception for files that are missing, damaged or not what they should be.

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

#include "promptdistill/text/utf8.hpp"

namespace promptdistill {

/// what() reads "promptdistill: <path>: <subject> <rule>", as in "model.safetensors: tensor
/// lm_head.weight is missing". Whatever the file holds, subject and rule are one short line of
/// valid UTF-8 there.
class LoadError : public std::runtime_error {
 public:
  /// `subject`: the tensor, key or part of the file; `problem`: the rule it breaks and what was
  /// found instead.
  LoadError(std::filesystem::path path, std::string subject, const std::string& problem)
      : std::runtime_error("promptdistill: " + path.string() + ": " +
                           detail::one_line(subject, 200) + " " + detail::one_line(problem, 600)),
        path_(std::move(path)),
        subject_(std::move(subject)) {}

  const std::filesystem::path& path() const { return path_; }
  const std::string& subject() const { return subject_; }

 private:
  std::filesystem::path path_;
  std::string subject_;
};

}  // namespace promptdistill
