#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Token ids as a user writes them: a JSON array.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "promptdistill/io/json_file.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"

namespace promptdistill::examples {

/// Throws LoadError naming `source` where `text` is no JSON array of ids.
inline std::vector<std::int64_t> parse_ids(const std::string& text, const std::string& source) {
  nlohmann::json ids;
  try {
    ids = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw LoadError(source, "the ids", std::string("must be a JSON array: ") + error.what());
  }
  if (!ids.is_array())
    throw LoadError(source, "the ids", "must be a JSON array, got " + JsonObject::shown(ids));
  for (const nlohmann::json& id : ids) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= std::uint64_t{1} << 31) {
      throw LoadError(source, "the ids", "must be token ids, got " + JsonObject::shown(id));
    }
  }
  return ids.get<std::vector<std::int64_t>>();
}

inline std::vector<std::int64_t> read_ids(const std::string& file) {
  return parse_ids(promptdistill::detail::read_text_file(file), file);
}

}  // namespace promptdistill::examples
