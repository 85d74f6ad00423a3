#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// JSON files read strictly: a key is there, of its type and within its bounds, or a LoadError names
// file and key.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"

namespace promptdistill {

/// A JSON object and the file it came from. Where T is std::int64_t only integers are taken (3.0 is
/// not one).
class JsonObject {
 public:
  JsonObject(std::filesystem::path path, nlohmann::json json, std::string prefix = "")
      : path_(std::move(path)), json_(std::move(json)), prefix_(std::move(prefix)) {
    if (!json_.is_object()) {
      throw LoadError(path_,
                      prefix_.empty() ? "the file" : "key " + prefix_.substr(0, prefix_.size() - 1),
                      "must be a JSON object");
    }
  }

  static JsonObject load(const std::filesystem::path& path) {
    return JsonObject(path, detail::read_json(path));
  }

  const std::filesystem::path& path() const { return path_; }
  const nlohmann::json& json() const { return json_; }

  /// True where the key is there and not null.
  bool has(const std::string& key) const {
    const auto found = json_.find(key);
    return found != json_.end() && !found->is_null();
  }

  template <class T>
  T get(const std::string& key) const {
    if (!has(key)) fail(key, "is missing");
    const nlohmann::json& value = json_.at(key);
    if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) fail(key, "must be true or false, got " + shown(value));
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      const bool fits =
          value.is_number_integer() &&
          !(value.is_number_unsigned() &&
            value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()});
      if (!fits) fail(key, "must be an integer, got " + shown(value));
    } else if constexpr (std::is_same_v<T, double>) {
      if (!value.is_number()) fail(key, "must be a number, got " + shown(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) fail(key, "must be a string, got " + shown(value));
    }
    return value.get<T>();
  }

  template <class T>
  T get_or(const std::string& key, T fallback) const {
    return has(key) ? get<T>(key) : std::move(fallback);
  }

  /// An integer in [lowest, highest].
  std::int64_t integer(const std::string& key,
                       std::int64_t lowest,
                       std::int64_t highest,
                       std::optional<std::int64_t> fallback = {}) const {
    const std::int64_t value = fallback && !has(key) ? *fallback : get<std::int64_t>(key);
    if (value < lowest || value > highest) {
      fail(key, "must be in [" + std::to_string(lowest) + ", " + std::to_string(highest) +
                    "], got " + std::to_string(value));
    }
    return value;
  }

  JsonObject object(const std::string& key) const {
    if (!has(key)) fail(key, "is missing");
    return JsonObject(path_, json_.at(key), prefix_ + key + ".");
  }

  [[noreturn]] void fail(const std::string& key, const std::string& problem) const {
    throw LoadError(path_, "key " + prefix_ + key, problem);
  }

  /// A value as it may stand in a message: at most some 60 characters of it.
  static std::string shown(const nlohmann::json& value) {
    std::string text =
        value.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  }

 private:
  std::filesystem::path path_;
  nlohmann::json json_;
  std::string prefix_;
};

}  // namespace promptdistill
