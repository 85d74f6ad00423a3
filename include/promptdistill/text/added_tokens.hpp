#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Tokens that are found in the text itself before anything else is done to it, chat markers above
// all.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/normalizer.hpp"
#include "promptdistill/text/regex.hpp"
#include "promptdistill/text/utf8.hpp"
#include "promptdistill/text/vocabulary.hpp"

namespace promptdistill::detail {

struct AddedToken {
  std::int64_t id;
  std::string content;
  bool special;      // decode() can leave it out
  bool single_word;  // only where no word character touches it
  bool lstrip;       // takes the white space before it
  bool rstrip;       // takes the white space after it
  bool normalized;   // looked for after normalisation
};

/// A set of strings, asked for the longest that a text begins with.
class PrefixTree {
  using Children = std::vector<std::pair<char, std::size_t>>;  // sorted

  struct Node {
    Children children;
    std::optional<std::size_t> value;
  };

  template <class AnyChildren>
  static auto lower_bound(AnyChildren& children, char c) {
    return std::lower_bound(children.begin(), children.end(), c,
                            [](const auto& child, char key) { return child.first < key; });
  }

 public:
  /// `text` must not be empty. An earlier `value` for the same text stays.
  void insert(std::string_view text, std::size_t value) {
    std::size_t node = 0;
    for (const char c : text) {
      auto& children = nodes_[node].children;
      const auto slot = lower_bound(children, c);
      if (slot != children.end() && slot->first == c) {
        node = slot->second;
      } else {
        node = nodes_.size();
        children.insert(slot, {c, node});
        nodes_.emplace_back();
      }
    }
    if (!nodes_[node].value) nodes_[node].value = value;
    first_[static_cast<unsigned char>(text.front())] = true;
  }

  /// The value of the longest string that text.substr(at) begins with, and that string's length.
  std::optional<std::pair<std::size_t, std::size_t>> longest(std::string_view text,
                                                             std::size_t at) const {
    std::optional<std::pair<std::size_t, std::size_t>> best;
    if (!first_[static_cast<unsigned char>(text[at])]) return best;
    std::size_t node = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
      const auto& children = nodes_[node].children;
      const auto slot = lower_bound(children, text[i]);
      if (slot == children.end() || slot->first != text[i]) break;
      node = slot->second;
      if (nodes_[node].value) best = {*nodes_[node].value, i + 1 - at};
    }
    return best;
  }

 private:
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> first_{};
};

/// tokenizer.json's added_tokens. An immutable value.
class AddedTokens {
 public:
  /// Throws LoadError on entries that contradict each other or `vocabulary`.
  static AddedTokens parse(const JsonNode& node,
                           const Vocabulary& vocabulary,
                           const Normalizer& normalizer) {
    AddedTokens result;
    node.require_array();
    Vocabulary seen;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < node.value().size(); ++i) {
      const JsonNode entry = node.element(i);
      entry.allow_only(
          {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      AddedToken token{entry.at("id").integer_below(kMaxTokens),
                       entry.at("content").string(),
                       entry.at("special").boolean(),
                       entry.at("single_word").boolean(),
                       entry.at("lstrip").boolean(),
                       entry.at("rstrip").boolean(),
                       entry.at("normalized").boolean()};
      if (token.content.empty()) entry.at("content").fail("must not be empty");
      if (!seen.emplace(token.content, 0).second)
        entry.at("content").fail("must be listed once, got " + describe(token.content) + " again");
      const auto known = vocabulary.find(token.content);
      if (known != vocabulary.end() && known->second != token.id) {
        entry.at("id").fail("must be the id of " + describe(token.content) + " in model.vocab, " +
                            std::to_string(known->second) + ", got " + std::to_string(token.id));
      }
      bytes += token.content.size();
      if (bytes > kMaxAddedBytes) {
        entry.at("content").fail("must not bring all contents over " +
                                 std::to_string(kMaxAddedBytes) + " bytes");
      }
      if (token.content.size() > kMaxContentBytes) {
        entry.at("content").fail("must be at most " + std::to_string(kMaxContentBytes) +
                                 " bytes, got " + std::to_string(token.content.size()));
      }
      result.tokens_.push_back(std::move(token));
    }
    result.index(node, normalizer);
    return result;
  }

  const std::vector<AddedToken>& tokens() const { return tokens_; }

  /// Calls on_token(id) and on_text(text) for the added tokens in `text` and what lies between,
  /// left to right; no text is empty. This is for a text as it comes, before normalisation.
  template <class OnToken, class OnText>
  void split(std::string_view text, OnToken&& on_token, OnText&& on_text) const {
    split_by(before_, text, on_token, on_text);
  }

  /// The same for a text between such tokens, after normalisation, as the tokens are looked for
  /// then.
  template <class OnToken, class OnText>
  void split_normalized(std::string_view text, OnToken&& on_token, OnText&& on_text) const {
    split_by(after_, text, on_token, on_text);
  }

 private:
  // The prefix tree takes some 100 times as much. Real files stay below 100 KiB.
  static constexpr std::size_t kMaxAddedBytes = std::size_t{1} << 20;
  // Every place of a text may look that far. Real ones stay below 100 bytes.
  static constexpr std::size_t kMaxContentBytes = 256;

  /// Where two tokens are the same after normalisation, the first special one is it, else the
  /// first.
  void index(const JsonNode& node, const Normalizer& normalizer) {
    for (const bool special : {true, false}) {
      for (std::size_t i = 0; i < tokens_.size(); ++i) {
        const AddedToken& token = tokens_[i];
        if (token.special != special) continue;
        const std::string content = token.normalized ? normalizer(token.content) : token.content;
        if (content.empty())
          node.element(i).at("content").fail("must not be empty after normalisation");
        (token.normalized ? after_ : before_).insert(content, i);
      }
    }
  }

  template <class OnToken, class OnText>
  void split_by(const PrefixTree& tree,
                std::string_view text,
                OnToken&& on_token,
                OnText&& on_text) const {
    std::size_t done = 0, white_end = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto found = tree.longest(text, at);
      if (!found) {
        ++at;
        continue;
      }
      const AddedToken& token = tokens_[found->first];
      std::size_t begin = at, end = at + found->second;
      at = end;
      if (token.single_word &&
          (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
        continue;
      // White space is looked at once: a text of little else would take quadratic time.
      if (token.lstrip)
        begin = done < begin ? begin - white_space_at_end(text.substr(done, begin - done)) : done;
      if (token.rstrip) {
        if (end > white_end) white_end = end + white_space_at_start(text.substr(end));
        end = white_end;
      }
      if (done < begin) on_text(text.substr(done, begin - done));
      if (begin < end) on_token(token.id);  // else an earlier token's rstrip took it whole
      done = end;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

  static std::string_view last_character(std::string_view text) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
    return text.substr(at);
  }

  static std::size_t white_space_at_start(std::string_view text) {  // bytes
    std::size_t length = 0;
    while (length < text.size()) {
      const Utf8Step step = utf8_step(text.substr(length));
      if (!is_white_space(step.code_point)) break;
      length += step.length;
    }
    return length;
  }

  static std::size_t white_space_at_end(std::string_view text) {  // bytes
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::string_view last = last_character(rest);
      if (!is_white_space(utf8_step(last).code_point)) break;
      rest.remove_suffix(last.size());
    }
    return text.size() - rest.size();
  }

  bool is_word(std::string_view character) const {
    bool matched = false;
    word_.for_each_match(character, word_.match_data(),
                         [&](std::size_t, std::size_t) { matched = true; });
    return matched;
  }

  bool starts_with_word(std::string_view text) const {
    return !text.empty() && is_word(text.substr(0, utf8_step(text).length));
  }

  bool ends_with_word(std::string_view text) const {
    return !text.empty() && is_word(last_character(text));
  }

  std::vector<AddedToken> tokens_;
  PrefixTree before_, after_;  // normalisation; values index tokens_
  // UTS #18's \w: letters, marks, decimal and letter numbers, connectors, joiners and the
  // alphabetic symbols.
  Regex word_{
      R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}])"};
};

}  // namespace promptdistill::detail
