#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Tokens and their ids.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "promptdistill/text/json_node.hpp"

namespace promptdistill::detail {

inline constexpr std::int64_t kMaxTokens = std::int64_t{1}
                                           << 22;  // real vocabularies stay below 300,000

/// Lets a map of strings be asked with a view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

using Vocabulary = std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>>;

/// Reads an object of tokens and ids. Throws LoadError where an id is out of bounds or used twice.
inline Vocabulary read_vocabulary(const JsonNode& node) {
  if (!node.value().is_object()) node.must_be("an object of tokens and ids");
  Vocabulary vocabulary;
  vocabulary.reserve(node.value().size());
  std::unordered_map<std::int64_t, const std::string*> owners;
  for (const auto& [token, value] : node.value().get_ref<const nlohmann::json::object_t&>()) {
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() >= static_cast<std::uint64_t>(kMaxTokens)) {
      node.fail("must have ids that are integers in [0, " + std::to_string(kMaxTokens) + "), got " +
                describe(value) + " for " + describe(token));
    }
    const auto id = value.get<std::int64_t>();
    if (const auto [owner, is_new] = owners.emplace(id, &token); !is_new) {
      node.fail("must have distinct ids, got " + std::to_string(id) + " for both " +
                describe(*owner->second) + " and " + describe(token));
    }
    vocabulary.emplace(token, static_cast<std::int32_t>(id));
  }
  return vocabulary;
}

}  // namespace promptdistill::detail
