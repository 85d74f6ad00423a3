#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face tokenizer.json: text to token ids and back, id for id as Hugging Face's
// tokenizers.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text/added_tokens.hpp"
#include "promptdistill/text/bpe.hpp"
#include "promptdistill/text/decoder.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/normalizer.hpp"
#include "promptdistill/text/post_processor.hpp"
#include "promptdistill/text/pre_tokenizer.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill {

/// BPE over bytes or characters as read from a checkpoint. An immutable value; const methods may
/// run from several threads.
class Tokenizer {
 public:
  /// Reads folder/tokenizer.json.
  ///
  /// Throws LoadError naming the key where the file is missing, damaged, or asks for something that
  /// is not supported: nothing in it is ignored silently.
  static Tokenizer load(const std::filesystem::path& folder) {
    const std::filesystem::path file = folder / "tokenizer.json";
    const nlohmann::json json = detail::read_json(file);
    if (!json.is_object())
      throw LoadError(file, "the file", "must hold a JSON object, got " + detail::describe(json));
    const detail::JsonNode root(file, "", json);
    root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                     "pre_tokenizer", "post_processor", "decoder", "model"});
    root.allow_value("version", {"1.0"});
    root.allow_value("truncation", {});
    root.allow_value("padding", {});
    const nlohmann::json null, none = nlohmann::json::array();
    const auto optional = [&](const char* key, const nlohmann::json& fallback) {
      return root.find(key).value_or(detail::JsonNode(file, key, fallback));
    };
    Tokenizer result;
    result.normalizer_ = detail::Normalizer::parse(optional("normalizer", null));
    result.pre_tokenizer_ = detail::PreTokenizer::parse(root.at("pre_tokenizer"));
    result.bpe_ = detail::Bpe::parse(root.at("model"));
    result.decoder_ = detail::Decoder::parse(root.at("decoder"));
    const auto added = optional("added_tokens", none);
    result.added_tokens_ =
        detail::AddedTokens::parse(added, result.bpe_.vocabulary(), result.normalizer_);
    result.index_tokens(added);
    result.post_processor_ = detail::PostProcessor::parse(
        optional("post_processor", null), [&](std::int64_t id) { return result.has(id); });
    return result;
  }

  /// One past the largest id.
  std::int64_t vocab_size() const { return vocab_size_; }

  /// Added tokens in `text` (the chat markers among them) are recognised as such, so text from a
  /// stranger can hold them. A character that the vocabulary cannot express gives its unknown
  /// token, or none where it has none. `add_special_tokens` puts before and after the text what the
  /// file's template says.
  ///
  /// Throws std::invalid_argument with the byte offset where `text` is not valid UTF-8.
  std::vector<std::int64_t> encode(std::string_view text, bool add_special_tokens = true) const {
    if (const std::size_t at = detail::first_invalid_utf8(text); at != text.npos) {
      throw std::invalid_argument(
          "promptdistill: a text to encode must be valid UTF-8, it is not at byte " +
          std::to_string(at));
    }
    std::vector<std::int64_t> ids;
    if (add_special_tokens) ids = post_processor_.before;
    detail::Bpe::Scratch scratch;
    const auto on_token = [&](std::int64_t id) { ids.push_back(id); };
    added_tokens_.split(text, on_token, [&](std::string_view plain) {
      const std::string normal = normalizer_(std::string(plain));
      added_tokens_.split_normalized(normal, on_token, [&](std::string_view part) {
        detail::Pieces pieces(std::string(part),
                              plain.data() == text.data() && part.data() == normal.data());
        pre_tokenizer_(pieces);
        for (const auto range : pieces.ranges) bpe_.encode(pieces[range], scratch, ids);
      });
    });
    if (add_special_tokens)
      ids.insert(ids.end(), post_processor_.after.begin(), post_processor_.after.end());
    return ids;
  }

  /// What the file's decoder makes of the tokens; bytes that are not UTF-8 become U+FFFD, as in
  /// Hugging Face. Throws std::out_of_range on an id without a token.
  std::string decode(std::span<const std::int64_t> ids, bool skip_special_tokens = false) const {
    std::string text;
    detail::Decoder::Stream stream(decoder_);
    for (const std::int64_t id : ids) {
      const Entry& token = entry(id);
      if (!(skip_special_tokens && token.special)) stream.push(token.content, text);
    }
    stream.finish(text);
    return text;
  }

  /// The bytes that the token stands for inside of a text, which may be part of a character. Throws
  /// std::out_of_range on an id without a token.
  std::string token_bytes(std::int64_t id) const { return decoder_.bytes(entry(id).content); }

  /// True for the special ones among the added tokens. Throws std::out_of_range on an id without a
  /// token.
  bool is_special(std::int64_t id) const { return entry(id).special; }

  /// `token` as tokenizer.json writes it, so in the byte alphabet: "Ġthe", not " the".
  std::optional<std::int64_t> token_to_id(std::string_view token) const {
    for (const detail::AddedToken& added : added_tokens_.tokens()) {
      if (added.content == token) return added.id;
    }
    const auto found = bpe_.vocabulary().find(token);
    if (found == bpe_.vocabulary().end()) return std::nullopt;
    return found->second;
  }

 private:
  friend class TextStream;  // its decoder

  struct Entry {
    std::string content;
    bool special;
  };

  Tokenizer() = default;

  /// Fills entries_; `added` is where a clash is blamed.
  void index_tokens(const detail::JsonNode& added) {
    for (const auto& [token, id] : bpe_.vocabulary()) entries_.emplace(id, Entry{token, false});
    for (std::size_t i = 0; i < added_tokens_.tokens().size(); ++i) {
      const detail::AddedToken& token = added_tokens_.tokens()[i];
      if (has(token.id) && !bpe_.vocabulary().contains(token.content)) {
        added.element(i).at("id").fail("must not be another token's, got " +
                                       std::to_string(token.id) + " for " +
                                       detail::describe(token.content));
      }
      entries_.insert_or_assign(token.id, Entry{token.content, token.special});
    }
    for (const auto& [id, entry] : entries_) vocab_size_ = std::max(vocab_size_, id + 1);
  }

  bool has(std::int64_t id) const { return entries_.contains(id); }

  const Entry& entry(std::int64_t id) const {
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
      throw std::out_of_range("promptdistill: a token id must be one of the tokenizer's, in [0, " +
                              std::to_string(vocab_size_) + "), got " + std::to_string(id));
    }
    return found->second;
  }

  detail::Normalizer normalizer_;
  detail::PreTokenizer pre_tokenizer_;
  detail::Bpe bpe_;
  detail::PostProcessor post_processor_;
  detail::Decoder decoder_;
  detail::AddedTokens added_tokens_;
  std::unordered_map<std::int64_t, Entry> entries_;  // by id; a file may leave many out
  std::int64_t vocab_size_ = 0;
};

}  // namespace promptdistill
