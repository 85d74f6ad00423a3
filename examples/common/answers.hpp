#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What programs that answer share: the text they are given and what they tell of an answer.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/model/generate.hpp"

namespace promptdistill::examples {

/// A file's text; "-" is standard input. Throws LoadError.
inline std::string read_text(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  if (std::filesystem::is_directory(path)) throw LoadError(path, "the prompt", "is a folder");
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) throw LoadError(path, "the prompt", "cannot be read");
  return text;
}

inline std::vector<std::int64_t> integers(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  return {host.const_data_ptr<std::int64_t>(), host.const_data_ptr<std::int64_t>() + host.numel()};
}

inline const char* name(StopReason reason) {
  switch (reason) {
    case StopReason::kStopToken:
      return "stop_token";
    case StopReason::kMaxNewTokens:
      return "max_new_tokens";
    case StopReason::kContext:
      return "context";
    case StopReason::kCaller:
      return "interrupted";
  }
  return "";
}

}  // namespace promptdistill::examples
