#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A value of a JSON file that knows where it stands: every complaint names the file and the key.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

/// A value for a message. Shallow: nested values are named by their kind.
inline std::string describe(const nlohmann::json& value) {
  if (value.is_string()) return "\"" + excerpt(value.get_ref<const std::string&>(), 80) + "\"";
  if (value.is_array()) return "an array";
  if (value.is_object()) {
    const auto type = value.find("type");
    return type != value.end() && type->is_string() ? describe(*type) : "an object";
  }
  return value.dump();
}

/// A value of a JSON file that knows where it stands. A view: file and values must outlive it.
class JsonNode {
 public:
  JsonNode(const std::filesystem::path& file, std::string key, const nlohmann::json& value)
      : file_(&file), key_(std::move(key)), value_(&value) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& key() const { return key_; }

  [[noreturn]] void fail(const std::string& problem) const {
    throw LoadError(*file_, key_.empty() ? "the file" : key_, problem);
  }

  /// Complains that the value is not `rule`.
  [[noreturn]] void must_be(const std::string& rule) const {
    fail("must be " + rule + ", got " + describe(*value_));
  }

  /// The member `key`, which must be there.
  JsonNode at(const char* key) const {
    auto member = find(key);
    if (!member) child(key, *value_).fail("is missing");
    return *member;
  }

  /// The member `key`, if there; a null counts as a value.
  std::optional<JsonNode> find(const char* key) const {
    if (!value_->is_object()) must_be("an object");
    const auto member = value_->find(key);
    if (member == value_->end()) return std::nullopt;
    return child(key, *member);
  }

  JsonNode element(std::size_t index) const {
    return JsonNode(*file_, key_ + "[" + std::to_string(index) + "]", (*value_)[index]);
  }

  bool boolean() const {
    if (!value_->is_boolean()) must_be("true or false");
    return value_->get<bool>();
  }

  const std::string& string() const {
    if (!value_->is_string()) must_be("a string");
    return value_->get_ref<const std::string&>();
  }

  /// An integer in [0, end).
  std::int64_t integer_below(std::int64_t end) const {
    if (!value_->is_number_unsigned() ||
        value_->get<std::uint64_t>() >= static_cast<std::uint64_t>(end)) {
      must_be("an integer in [0, " + std::to_string(end) + ")");
    }
    return value_->get<std::int64_t>();
  }

  void require_array() const {
    if (!value_->is_array()) must_be("an array");
  }

  /// Refuses members that nobody would read.
  void allow_only(std::initializer_list<std::string_view> keys) const {
    if (!value_->is_object()) must_be("an object");
    for (const auto& [name, member] : value_->items()) {
      bool known = false;
      std::string list;
      for (const std::string_view key : keys) {
        known = known || key == name;
        list += (list.empty() ? "" : ", ") + std::string(key);
      }
      if (!known)
        child(name.c_str(), member)
            .fail("is not supported, got " + describe(member) + "; supported here: " + list);
    }
  }

  /// Refuses the member `key` unless it is absent, null or one of `values`.
  void allow_value(const char* key, std::initializer_list<nlohmann::json> values) const {
    const auto member = find(key);
    if (!member || member->value().is_null()) return;
    std::string list = "null";
    for (const nlohmann::json& value : values) {
      if (member->value() == value) return;
      list += " or " + describe(value);
    }
    member->fail("is not supported, got " + describe(member->value()) + "; supported: " + list);
  }

 private:
  JsonNode child(const char* key, const nlohmann::json& value) const {
    return JsonNode(*file_, key_.empty() ? excerpt(key, 80) : key_ + "." + excerpt(key, 80), value);
  }

  const std::filesystem::path* file_;
  std::string key_;  // as in "model.merges[3]"
  const nlohmann::json* value_;
};

}  // namespace promptdistill::detail
