#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The tokens that a checkpoint wants before and after a text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/vocabulary.hpp"

namespace promptdistill::detail {

/// tokenizer.json's post_processor, as far as it concerns ids. An immutable value.
struct PostProcessor {
  std::vector<std::int64_t> before, after;

  /// Null means none; is_token(id) says which ids a template may name. Throws LoadError on what is
  /// not supported.
  template <class IsToken>
  static PostProcessor parse(const JsonNode& node, const IsToken& is_token) {
    PostProcessor result;
    bool has_template = false;
    if (!node.value().is_null()) result.add(node, is_token, has_template);
    return result;
  }

 private:
  template <class IsToken>
  void add(const JsonNode& node, const IsToken& is_token, bool& has_template) {
    const std::string& type = node.at("type").string();
    if (type == "Sequence") {
      node.allow_only({"type", "processors"});
      const JsonNode list = node.at("processors");
      list.require_array();
      for (std::size_t i = 0; i < list.value().size(); ++i)
        add(list.element(i), is_token, has_template);
    } else if (type == "ByteLevel") {  // moves offsets, which are not given here
      node.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    } else if (type == "TemplateProcessing") {
      if (has_template) node.fail("must not be a second TemplateProcessing");
      has_template = true;
      add_template(node, is_token);
    } else {
      node.at("type").fail("is not supported, got " + describe(type) +
                           "; supported: Sequence, ByteLevel, TemplateProcessing");
    }
  }

  template <class IsToken>
  void add_template(const JsonNode& node, const IsToken& is_token) {
    node.allow_only({"type", "single", "pair", "special_tokens"});  // no pairs here
    const JsonNode single = node.at("single"), special = node.at("special_tokens");
    single.require_array();
    bool has_text = false;
    for (std::size_t i = 0; i < single.value().size(); ++i) {
      const JsonNode piece = single.element(i);
      piece.allow_only({"SpecialToken", "Sequence"});
      if (piece.value().size() != 1) piece.must_be("one of SpecialToken and Sequence");
      if (const auto sequence = piece.find("Sequence")) {
        if (sequence->at("id").string() != "A" || has_text)
          sequence->at("id").fail("must be A, once, got " + describe(sequence->at("id").value()));
        has_text = true;
        continue;
      }
      const JsonNode name = piece.at("SpecialToken").at("id");
      const auto token = special.find(name.string().c_str());
      if (!token) name.fail("must be one of special_tokens, got " + describe(name.value()));
      const JsonNode ids = token->at("ids");
      ids.require_array();
      for (std::size_t j = 0; j < ids.value().size(); ++j) {
        const std::int64_t id = ids.element(j).integer_below(kMaxTokens);
        if (!is_token(id)) ids.element(j).must_be("the id of a token");
        (has_text ? after : before).push_back(id);
      }
    }
    if (!has_text) single.fail("must hold the Sequence A");
  }
};

}  // namespace promptdistill::detail
