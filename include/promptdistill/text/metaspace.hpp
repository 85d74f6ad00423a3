#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The settings that tokenizer.json's Metaspace has as a pre-tokenizer and as a decoder.

#include <string>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

struct Metaspace {
  enum class Prepend { kNever, kFirst, kAlways };

  std::string mark;  // what stands for a space, one character
  Prepend prepend;   // where a text may begin with a mark that it has not
  bool split;        // every mark begins a piece

  /// Throws LoadError.
  static Metaspace parse(const JsonNode& node) {
    node.allow_only(
        {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
    const JsonNode replacement = node.at("replacement");
    const std::string& mark = replacement.string();
    if (mark.empty() || utf8_step(mark).length != mark.size()) replacement.must_be("one character");
    // The last two are younger than the format: absent means always and true.
    Metaspace result{mark, Prepend::kAlways, true};
    if (const auto scheme = node.find("prepend_scheme")) {
      const std::string& name = scheme->string();
      if (name == "never") {
        result.prepend = Prepend::kNever;
      } else if (name == "first") {
        result.prepend = Prepend::kFirst;
      } else if (name != "always") {
        scheme->must_be("always, first or never");
      }
    }
    const auto prefix = node.find("add_prefix_space");
    if (prefix && !prefix->value().is_null() && !prefix->boolean() &&
        result.prepend != Prepend::kNever)
      prefix->fail("must be true unless prepend_scheme is never");
    if (const auto split = node.find("split"); split && !split->value().is_null())
      result.split = split->boolean();
    return result;
  }
};

}  // namespace promptdistill::detail
