#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Files of one JSON object a line, of any size: a line at a time.

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"

namespace promptdistill::examples {

/// Calls `read` with every line that is not blank; returns the bytes of all lines that end in a
/// line feed. With `whole_lines` a last line without one is left out. Throws LoadError naming the
/// line where it is no JSON object, nests too deep or lacks what `read` looks for.
inline std::uintmax_t read_json_lines(const std::filesystem::path& file,
                                      const std::function<void(const nlohmann::json&)>& read,
                                      bool whole_lines = false) {
  std::ifstream in(file, std::ios::binary);
  if (!in || !std::filesystem::is_regular_file(file))
    throw LoadError(file, "the file", "cannot be opened");
  std::uintmax_t bytes = 0;
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    if (!in.eof()) {
      bytes += line.size() + 1;
    } else if (whole_lines) {
      break;
    }
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto fail = [&](const std::string& why) {
      throw LoadError(file, fmt::format("line {}", number), why);
    };
    if (promptdistill::detail::json_depth(line) > promptdistill::detail::kMaxJsonDepth)
      fail(fmt::format("must nest at most {} deep", promptdistill::detail::kMaxJsonDepth));
    try {
      const auto json = nlohmann::json::parse(line);
      if (!json.is_object()) fail("must be a JSON object");
      read(json);
    } catch (const nlohmann::json::exception& error) {
      fail(std::string("cannot be used: ") + error.what());
    }
  }
  if (in.bad()) throw LoadError(file, "the file", "cannot be read");
  return bytes;
}

}  // namespace promptdistill::examples
