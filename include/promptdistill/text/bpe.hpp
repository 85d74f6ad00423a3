#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Byte-pair encoding: from one piece of text to token ids, in the time of a priority queue.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

inline constexpr std::int64_t kMaxTokens =
    std::int64_t{1} << 22;  // ids index a table; real vocabularies stay below 300,000

/// Lets a map of strings be asked with a view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

using Vocabulary = std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>>;

/// A vocabulary and its merges, read from tokenizer.json's model. An immutable value.
class Bpe {
 public:
  /// Memory that encode() reuses from piece to piece; one per thread.
  class Scratch;

  /// Throws LoadError on what is missing, inconsistent or not supported.
  static Bpe parse(const JsonNode& node) {
    node.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                     "merges"});
    if (const auto type = node.find("type"); type && type->string() != "BPE") {
      type->fail("is not supported, got " + describe(type->value()) + "; supported: BPE");
    }
    node.allow_value("dropout", {0.0});
    node.allow_value("unk_token", {});
    node.allow_value("continuing_subword_prefix", {""});
    node.allow_value("end_of_word_suffix", {""});
    node.allow_value("fuse_unk", {false});
    node.allow_value("byte_fallback", {false});
    Bpe bpe;
    if (const auto ignore = node.find("ignore_merges")) bpe.ignore_merges_ = ignore->boolean();
    bpe.read_vocabulary(node.at("vocab"));
    bpe.read_merges(node.at("merges"));
    return bpe;
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// Appends the ids of one piece. A character that the vocabulary lacks gives no token, as in
  /// Hugging Face without unk_token.
  ///
  /// O(n log n) in the piece's n characters: the lowest-ranked pair merges first, the leftmost
  /// among equals.
  void encode(std::string_view piece, Scratch& scratch, std::vector<std::int64_t>& ids) const;

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;  // of the merged token
  };

  static std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint32_t>(right);
  }

  const Merge* find_merge(std::int32_t left, std::int32_t right) const {
    const auto found = merges_.find(pair_key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
  }

  std::int32_t find_character(std::string_view character, char32_t code_point) const {  // -1: none
    if (code_point < characters_.size()) return characters_[code_point];
    const auto found = vocabulary_.find(character);
    return found == vocabulary_.end() ? -1 : found->second;
  }

  void read_vocabulary(const JsonNode& node) {
    if (!node.value().is_object()) node.must_be("an object of tokens and ids");
    vocabulary_.reserve(node.value().size());
    std::vector<const std::string*> owner;
    for (const auto& [token, value] : node.value().get_ref<const nlohmann::json::object_t&>()) {
      if (!value.is_number_unsigned() ||
          value.get<std::uint64_t>() >= static_cast<std::uint64_t>(kMaxTokens)) {
        node.fail("must have ids that are integers in [0, " + std::to_string(kMaxTokens) +
                  "), got " + describe(value) + " for " + describe(token));
      }
      const auto id = value.get<std::size_t>();
      if (id >= owner.size()) owner.resize(id + 1);
      if (owner[id]) {
        node.fail("must have distinct ids, got " + std::to_string(id) + " for both " +
                  describe(*owner[id]) + " and " + describe(token));
      }
      owner[id] = &token;
      vocabulary_.emplace(token, static_cast<std::int32_t>(id));
      if (const std::string_view text = token; !text.empty()) {
        const Utf8Step step = utf8_step(text);
        if (step.length == text.size() && step.code_point < characters_.size()) {
          characters_[step.code_point] = static_cast<std::int32_t>(id);
        }
      }
    }
  }

  void read_merges(const JsonNode& node) {
    node.require_array();
    const std::size_t count = node.value().size();
    merges_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const nlohmann::json& merge = node.value()[i];
      std::string_view left, right;
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get_ref<const std::string&>();
        right = merge[1].get_ref<const std::string&>();
      } else if (merge.is_string()) {  // the format before tokenizers 0.20
        const std::string_view text = merge.get_ref<const std::string&>();
        if (text.starts_with("#version")) continue;
        const std::size_t space = text.find(' ');
        if (space == text.npos || text.find(' ', space + 1) != text.npos)
          node.element(i).must_be("two tokens with one space between");
        left = text.substr(0, space);
        right = text.substr(space + 1);
      } else {
        node.element(i).must_be("a pair of tokens");
      }
      const auto id = [&](std::string_view token) {
        const auto found = vocabulary_.find(token);
        if (found == vocabulary_.end())
          node.element(i).fail("must name tokens of model.vocab, got \"" + excerpt(token, 80) +
                               "\"");
        return found->second;
      };
      const std::int32_t left_id = id(left), right_id = id(right);
      merges_.insert_or_assign(
          pair_key(left_id, right_id),
          Merge{static_cast<std::int32_t>(i), id(std::string(left).append(right))});
    }
  }

  bool ignore_merges_ = false;
  Vocabulary vocabulary_;
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::vector<std::int32_t> characters_ =
      std::vector<std::int32_t>(0x800, -1);  // id by code point, a shortcut into vocabulary_
};

class Bpe::Scratch {
  friend class Bpe;

  struct Symbol {
    std::int32_t id;              // -1: merged into its left neighbour
    std::int64_t previous, next;  // -1: none
  };

  struct Candidate {
    std::int32_t rank;
    std::int32_t id;
    std::int64_t position;  // of the left symbol

    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;  // the least on top
};

inline void Bpe::encode(std::string_view piece,
                        Scratch& scratch,
                        std::vector<std::int64_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = vocabulary_.find(piece); whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  symbols.clear();
  heap.clear();
  while (!piece.empty()) {
    const Utf8Step step = utf8_step(piece);
    if (const std::int32_t id = find_character(piece.substr(0, step.length), step.code_point);
        id >= 0) {
      const auto index = static_cast<std::int64_t>(symbols.size());
      symbols.push_back({id, index - 1, index + 1});
    }
    piece.remove_prefix(step.length);
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  const auto at = [&](std::int64_t index) -> Scratch::Symbol& {
    return symbols[static_cast<std::size_t>(index)];
  };
  const auto candidate = [&](std::int64_t left, std::int64_t right) -> const Merge* {
    if (left < 0 || right < 0) return nullptr;
    return find_merge(at(left).id, at(right).id);
  };
  for (std::int64_t i = 0; i + 1 < static_cast<std::int64_t>(symbols.size()); ++i) {
    if (const Merge* merge = candidate(i, i + 1)) heap.push_back({merge->rank, merge->id, i});
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](std::int64_t left, std::int64_t right) {
    if (const Merge* merge = candidate(left, right)) {
      heap.push_back({merge->rank, merge->id, left});
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Scratch::Candidate top = heap.back();
    heap.pop_back();
    Scratch::Symbol& left = at(top.position);
    if (left.id < 0 || left.next < 0) continue;
    // An entry is stale unless its two symbols still make its token.
    const Merge* merge = candidate(top.position, left.next);
    if (!merge || merge->id != top.id) continue;
    Scratch::Symbol& right = at(left.next);
    left.id = top.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = top.position;
    push(left.previous, top.position);
    push(top.position, left.next);
  }
  for (std::int64_t i = 0; i >= 0; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace promptdistill::detail
