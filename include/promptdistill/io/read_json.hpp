#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Text and JSON from files that may be missing, damaged or hostile.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

inline constexpr std::uintmax_t kMaxJsonBytes = std::uintmax_t{64}
                                                << 20;  // real tokenizer.json files reach 33 MiB
inline constexpr int kMaxJsonDepth = 100;

/// The whole of a text file. Throws LoadError where it cannot be read or is larger than
/// kMaxJsonBytes.
inline std::string read_text_file(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error))
    throw LoadError(file, "the file", "must be a regular file");
  std::ifstream in(file, std::ios::binary);
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  if (!in || error) throw LoadError(file, "the file", "cannot be opened");
  if (bytes > kMaxJsonBytes) {
    throw LoadError(file, "the file",
                    "must be at most " + std::to_string(kMaxJsonBytes) + " bytes, got " +
                        std::to_string(bytes));
  }
  std::string text(static_cast<std::size_t>(bytes), '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size())))
    throw LoadError(file, "the file", "cannot be read");
  return text;
}

/// How deep arrays and objects nest, by brackets outside of strings.
inline int json_depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = ++depth > deepest ? depth : deepest;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

/// Throws LoadError where the file cannot be read, is not JSON, is too large or nests too deep.
inline nlohmann::json read_json(const std::filesystem::path& file) {
  const std::string text = read_text_file(file);
  // nlohmann parses to any depth, but copies and prints by recursion.
  if (json_depth(text) > kMaxJsonDepth) {
    throw LoadError(file, "the file",
                    "must nest at most " + std::to_string(kMaxJsonDepth) + " deep");
  }
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw LoadError(file, "the file", "must be JSON: " + excerpt(error.what(), 200));
  }
}

}  // namespace promptdistill::detail
