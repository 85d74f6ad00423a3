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

/// `growth` is how many times longer a chain of steps can make a text; a step that puts `added`
/// multiplies it. Throws LoadError where that is more than a file could mean.
inline void check_growth(const JsonNode& added, std::size_t& growth) {
  constexpr std::size_t kMaxGrowth = 1024;
  const std::size_t times = 1 + added.string().size();
  if (times > kMaxGrowth || (growth *= times) > kMaxGrowth) {
    added.fail("must not let a text grow more than " + std::to_string(kMaxGrowth) +
               " times by all steps");
  }
}

struct ReplaceMatches {
  Pattern pattern;
  std::string content;

  std::string operator()(std::string text) const { return pattern.replace(text, content); }

  /// Throws LoadError; `growth` as for check_growth().
  static ReplaceMatches parse(const JsonNode& node, std::size_t& growth) {
    node.allow_only({"type", "pattern", "content"});
    check_growth(node.at("content"), growth);
    return {Pattern::parse(node.at("pattern")), node.at("content").string()};
  }
};

/// A chain of steps, read from tokenizer.json's normalizer. An immutable value.
class Normalizer {
 public:
  /// Null means none. Throws LoadError on what is not supported.
  static Normalizer parse(const JsonNode& node) {
    Normalizer result;
    std::size_t growth = 1;
    if (!node.value().is_null()) result.add(node, growth);
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

  void add(const JsonNode& node, std::size_t& growth) {
    const std::string& type = node.at("type").string();
    if (type == "Sequence") {
      node.allow_only({"type", "normalizers"});
      const JsonNode list = node.at("normalizers");
      list.require_array();
      for (std::size_t i = 0; i < list.value().size(); ++i) add(list.element(i), growth);
    } else if (type == "NFC") {
      node.allow_only({"type"});
      steps_.emplace_back(ComposeCharacters{});
    } else if (type == "Prepend") {
      node.allow_only({"type", "prepend"});
      check_growth(node.at("prepend"), growth);
      steps_.emplace_back(PrependText{node.at("prepend").string()});
    } else if (type == "Replace") {
      steps_.emplace_back(ReplaceMatches::parse(node, growth));
    } else {
      node.at("type").fail("is not supported, got " + describe(type) +
                           "; supported: Sequence, NFC, Prepend, Replace");
    }
  }

  std::vector<Step> steps_;
};

}  // namespace promptdistill::detail
