#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How a text is cut into the pieces that BPE works on, one after another.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "promptdistill/text/byte_level.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/metaspace.hpp"
#include "promptdistill/text/pieces.hpp"
#include "promptdistill/text/split.hpp"

namespace promptdistill::detail {

/// Begins every piece with a space.
struct PrependSpace {
  void operator()(Pieces& pieces) const {
    pieces.rewrite([](std::string_view piece, bool, std::string& out) {
      if (!piece.starts_with(' ')) out += ' ';
      out += piece;
    });
  }
};

/// Writes every byte as its character of the byte alphabet.
struct ToByteAlphabet {
  void operator()(Pieces& pieces) const {
    pieces.rewrite([](std::string_view piece, bool, std::string& out) {
      append_in_byte_alphabet(piece, out);
    });
  }
};

/// Writes spaces as the mark, and may begin pieces with one.
struct MarkSpaces {
  Metaspace settings;

  void operator()(Pieces& pieces) const {
    using enum Metaspace::Prepend;
    pieces.rewrite([&](std::string_view piece, bool starts_text, std::string& out) {
      const bool wanted =
          settings.prepend == kAlways || (settings.prepend == kFirst && starts_text);
      if (wanted && !piece.starts_with(' ') && !piece.starts_with(settings.mark))
        out += settings.mark;
      for (const char c : piece) c == ' ' ? out += settings.mark : out += c;
    });
  }
};

/// A chain of steps, read from tokenizer.json's pre_tokenizer. An immutable value.
class PreTokenizer {
 public:
  /// Null means none. Throws LoadError on what is not supported.
  static PreTokenizer parse(const JsonNode& node) {
    PreTokenizer result;
    if (!node.value().is_null()) result.add(node);
    return result;
  }

  void operator()(Pieces& pieces) const {
    for (const Step& step : steps_) {
      std::visit([&](const auto& apply) { apply(pieces); }, step);
    }
  }

 private:
  using Step = std::variant<Split, PrependSpace, ToByteAlphabet, MarkSpaces>;

  void add(const JsonNode& node) {
    const std::string& type = node.at("type").string();
    if (type == "Sequence") {
      node.allow_only({"type", "pretokenizers"});
      const JsonNode list = node.at("pretokenizers");
      list.require_array();
      for (std::size_t i = 0; i < list.value().size(); ++i) add(list.element(i));
    } else if (type == "Split") {
      steps_.emplace_back(Split::parse(node));
    } else if (type == "Digits") {
      add_digits(node);
    } else if (type == "ByteLevel") {
      add_byte_level(node);
    } else if (type == "Metaspace") {
      add_metaspace(node);
    } else {
      node.at("type").fail("is not supported, got " + describe(type) +
                           "; supported: Sequence, Split, Digits, ByteLevel, Metaspace");
    }
  }

  void add_digits(const JsonNode& node) {
    node.allow_only({"type", "individual_digits"});
    steps_.emplace_back(Split{Pattern::regex("\\p{N}"), node.at("individual_digits").boolean()
                                                            ? Split::Behavior::kIsolated
                                                            : Split::Behavior::kContiguous});
  }

  void add_byte_level(const JsonNode& node) {
    node.allow_only({"type", "add_prefix_space", "trim_offsets",
                     "use_regex"});  // no offsets here, so none to trim
    const bool again = std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
      return std::holds_alternative<ToByteAlphabet>(step);
    });
    if (again) node.fail("must not be a second ByteLevel");  // each may double a text
    if (node.at("add_prefix_space").boolean()) steps_.emplace_back(PrependSpace{});
    const auto use_regex = node.find("use_regex");  // younger than the format: absent means true
    if (!use_regex || use_regex->boolean()) {
      // Source: GPT-2's encoder.py.
      steps_.emplace_back(Split{Pattern::regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|)"
                                               R"( ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
                                Split::Behavior::kIsolated});
    }
    steps_.emplace_back(ToByteAlphabet{});
  }

  void add_metaspace(const JsonNode& node) {
    const Metaspace settings = Metaspace::parse(node);
    steps_.emplace_back(MarkSpaces{settings});
    if (settings.split)
      steps_.emplace_back(Split{Pattern::literal(settings.mark), Split::Behavior::kMergedWithNext});
  }

  std::vector<Step> steps_;
};

}  // namespace promptdistill::detail
