#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Byte-pair encoding: from one piece of text to token ids, in the time of a priority queue.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/merges.hpp"
#include "promptdistill/text/utf8.hpp"
#include "promptdistill/text/vocabulary.hpp"

namespace promptdistill::detail {

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
    node.allow_value("continuing_subword_prefix", {""});
    node.allow_value("end_of_word_suffix", {""});
    const auto flag = [&](const char* key) {
      const auto member = node.find(key);
      return member && !member->value().is_null() && member->boolean();
    };
    Bpe bpe;
    bpe.ignore_merges_ = flag("ignore_merges");
    bpe.fuse_unknown_ = flag("fuse_unk");
    bpe.vocabulary_ = read_vocabulary(node.at("vocab"));
    for (const auto& [token, id] : bpe.vocabulary_) {
      if (token.empty()) continue;
      const Utf8Step step = utf8_step(token);
      if (step.length == token.size() && step.code_point < bpe.characters_.size())
        bpe.characters_[step.code_point] = id;
    }
    if (const auto token = node.find("unk_token"); token && !token->value().is_null()) {
      const auto found = bpe.vocabulary_.find(token->string());
      if (found == bpe.vocabulary_.end()) token->must_be("a token of model.vocab");
      bpe.unknown_ = found->second;
    }
    if (flag("byte_fallback")) bpe.read_fallback();
    const bool joins_words = bpe.read_merges(node.at("merges"));
    const bool has_all = bpe.unknown_ >= 0 || *std::ranges::min_element(bpe.bytes_) >= 0;
    bpe.cuts_words_ = !joins_words && has_all && bpe.vocabulary_.contains(kWordMark);
    return bpe;
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// Appends the ids of one piece. A character that the vocabulary lacks gives the tokens of its
  /// bytes, else the unknown token, else none, as in Hugging Face.
  ///
  /// O(n log n) in the piece's n characters: the lowest-ranked pair merges first, the leftmost
  /// among equals.
  void encode(std::string_view piece, Scratch& scratch, std::vector<std::int64_t>& ids) const;

 private:
  static constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space

  std::int32_t find_character(std::string_view character, char32_t code_point) const {  // -1: none
    if (code_point < characters_.size()) return characters_[code_point];
    const auto found = vocabulary_.find(character);
    return found == vocabulary_.end() ? -1 : found->second;
  }

  void read_fallback() {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    for (std::size_t byte = 0; byte < bytes_.size(); ++byte) {
      const std::string name = {'<', '0', 'x', kDigits[byte / 16], kDigits[byte % 16], '>'};
      if (const auto found = vocabulary_.find(name); found != vocabulary_.end())
        bytes_[byte] = found->second;
    }
  }

  /// Returns whether any merge puts a word mark after something else.
  bool read_merges(const JsonNode& node) {
    node.require_array();
    bool joins_words = false;
    const std::size_t count = node.value().size();
    merges_ = Merges(count);
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
      const std::int32_t merged_id = id(std::string(left).append(right));
      merges_.insert(left_id, right_id, {static_cast<std::int32_t>(i), merged_id});
      joins_words |= right.starts_with(kWordMark) && !left.ends_with(kWordMark);
    }
    return joins_words;
  }

  void read_symbols(std::string_view piece, Scratch& scratch) const;
  void encode_word(std::string_view word, Scratch& scratch, std::vector<std::int64_t>& ids) const;

  bool ignore_merges_ = false, fuse_unknown_ = false;
  bool cuts_words_ = false;  // no merge reaches across a word's beginning, so words go one by one
  Vocabulary vocabulary_;
  Merges merges_;
  std::int32_t unknown_ = -1;  // -1: none
  std::vector<std::int32_t> characters_ =
      std::vector<std::int32_t>(0x800, -1);  // id by code point, a shortcut into vocabulary_
  std::vector<std::int32_t> bytes_ = std::vector<std::int32_t>(256, -1);  // of the byte fallback
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

inline void Bpe::read_symbols(std::string_view piece, Scratch& scratch) const {
  auto& symbols = scratch.symbols_;
  symbols.clear();
  const auto add = [&](std::int32_t id) {
    const auto index = static_cast<std::int64_t>(symbols.size());
    symbols.push_back({id, index - 1, index + 1});
  };
  bool unknown = false;  // an unknown token is due, which a fused one after it may replace
  const auto add_unknown = [&] {
    if (std::exchange(unknown, false)) add(unknown_);
  };
  while (!piece.empty()) {
    const Utf8Step step = utf8_step(piece);
    const std::string_view character = piece.substr(0, step.length);
    piece.remove_prefix(step.length);
    if (const std::int32_t id = find_character(character, step.code_point); id >= 0) {
      add_unknown();
      add(id);
    } else if (const auto byte = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
               std::all_of(character.begin(), character.end(),
                           [&](char c) { return byte(c) >= 0; })) {
      for (const char c : character) add(byte(c));  // before an unknown token that is due
    } else if (unknown_ >= 0) {
      if (!fuse_unknown_) add_unknown();
      unknown = true;
    }
  }
  add_unknown();
  if (!symbols.empty()) symbols.back().next = -1;
}

inline void Bpe::encode(std::string_view piece,
                        Scratch& scratch,
                        std::vector<std::int64_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = vocabulary_.find(piece); whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  std::size_t begin = 0;
  for (std::size_t at = cuts_words_ ? piece.find(kWordMark) : piece.npos; at != piece.npos;
       at = piece.find(kWordMark, at + 1)) {
    if (at == begin || piece.substr(0, at).ends_with(kWordMark)) continue;
    encode_word(piece.substr(begin, at - begin), scratch, ids);
    begin = at;
  }
  encode_word(piece.substr(begin), scratch, ids);
}

inline void Bpe::encode_word(std::string_view word,
                             Scratch& scratch,
                             std::vector<std::int64_t>& ids) const {
  read_symbols(word, scratch);
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  heap.clear();
  if (symbols.empty()) return;

  const auto at = [&](std::int64_t index) -> Scratch::Symbol& {
    return symbols[static_cast<std::size_t>(index)];
  };
  const auto candidate = [&](std::int64_t left, std::int64_t right) -> const Merge* {
    if (left < 0 || right < 0) return nullptr;
    return merges_.find(at(left).id, at(right).id);
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
