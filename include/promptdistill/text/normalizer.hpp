#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What is done to a text before it is cut into pieces.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "promptdistill/text/compose.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/pattern.hpp"

namespace promptdistill::detail {

/// NFC.
struct ComposeCharacters {
  std::string operator()(std::string_view text) const { return compose(text); }
};

/// Begins a text that is not empty with `prefix`.
struct PrependText {
  std::string prefix;

  std::string operator()(std::string text) const {
    return text.empty() ? std::move(text) : prefix + text;
  }
};

struct ReplaceMatches {
  Pattern pattern;
  std::string content;

  std::string operator()(std::string text) const { return pattern.replace(text, content); }

  /// Throws LoadError.
  static ReplaceMatches parse(const JsonNode& node) {
    node.allow_only({"type", "pattern", "content"});
    return {Pattern::parse(node.at("pattern")), node.at("content").string()};
  }
};

/// A chain of steps, read from tokenizer.json's normalizer. An immutable value.
class Normalizer {
 public:
  /// Null means none. Throws LoadError on what is not supported.
  static Normalizer parse(const JsonNode& node) {
    Normalizer result;
    if (!node.value().is_null()) result.add(node);
    return result;
  }

  /// `text` must be valid UTF-8.
  std::string operator()(std::string text) const {
    for (const Step& step : steps_) {
      text = std::visit([&](const auto& apply) { return apply(std::move(text)); }, step);
    }
    return text;
  }

 private:
  using Step = std::variant<ComposeCharacters, PrependText, ReplaceMatches>;

  void add(const JsonNode& node) {
    const std::string& type = node.at("type").string();
    if (type == "Sequence") {
      node.allow_only({"type", "normalizers"});
      const JsonNode list = node.at("normalizers");
      list.require_array();
      for (std::size_t i = 0; i < list.value().size(); ++i) add(list.element(i));
    } else if (type == "NFC") {
      node.allow_only({"type"});
      steps_.emplace_back(ComposeCharacters{});
    } else if (type == "Prepend") {
      node.allow_only({"type", "prepend"});
      steps_.emplace_back(PrependText{node.at("prepend").string()});
    } else if (type == "Replace") {
      steps_.emplace_back(ReplaceMatches::parse(node));
    } else {
      node.at("type").fail("is not supported, got " + describe(type) +
                           "; supported: Sequence, NFC, Prepend, Replace");
    }
  }

  std::vector<Step> steps_;
};

}  // namespace promptdistill::detail
