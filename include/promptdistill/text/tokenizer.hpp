#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face tokenizer.json: text to token ids and back, id for id as Hugging Face's
// tokenizers.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text/added_tokens.hpp"
#include "promptdistill/text/bpe.hpp"
#include "promptdistill/text/byte_level.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/pre_tokenizer.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill {

/// Byte-level BPE as read from a checkpoint. An immutable value; const methods may run from several
/// threads.
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
    root.allow_value("normalizer", {});
    check_byte_level(root, "post_processor");  // ByteLevel moves offsets there, not ids
    if (root.at("decoder").value().is_null()) root.at("decoder").must_be("ByteLevel");
    check_byte_level(root, "decoder");
    auto bpe = detail::Bpe::parse(root.at("model"));
    auto pre_tokenizer = detail::PreTokenizer::parse(root.at("pre_tokenizer"));
    const nlohmann::json none = nlohmann::json::array();
    const auto added =
        root.find("added_tokens").value_or(detail::JsonNode(file, "added_tokens", none));
    auto added_tokens = detail::AddedTokens::parse(added, bpe.vocabulary());
    Tokenizer result(std::move(bpe), std::move(pre_tokenizer), std::move(added_tokens));
    result.index_tokens(added);
    return result;
  }

  /// One past the largest id.
  std::int64_t vocab_size() const { return static_cast<std::int64_t>(entries_.size()); }

  /// Added tokens in `text` (the chat markers among them) are recognised as such, so text from a
  /// stranger can hold them. A byte that the vocabulary lacks gives no token. No supported file
  /// asks for tokens around the text yet, so `add_special_tokens` changes nothing.
  ///
  /// Throws std::invalid_argument with the byte offset where `text` is not valid UTF-8.
  std::vector<std::int64_t> encode(std::string_view text,
                                   [[maybe_unused]] bool add_special_tokens = true) const {
    if (const std::size_t at = detail::first_invalid_utf8(text); at != text.npos) {
      throw std::invalid_argument(
          "promptdistill: a text to encode must be valid UTF-8, it is not at byte " +
          std::to_string(at));
    }
    std::vector<std::int64_t> ids;
    detail::Bpe::Scratch scratch;
    added_tokens_.split(
        text, [&](std::int64_t id) { ids.push_back(id); },
        [&](std::string_view plain) {
          pre_tokenizer_(plain).for_each(
              [&](std::string_view piece) { bpe_.encode(piece, scratch, ids); });
        });
    return ids;
  }

  /// Bytes that are not UTF-8 become U+FFFD, as in Hugging Face. Throws std::out_of_range on an id
  /// without a token.
  std::string decode(std::span<const std::int64_t> ids, bool skip_special_tokens = false) const {
    std::string text;
    detail::Utf8Repair repair;
    for (const std::int64_t id : ids) {
      const Entry& token = entry(id);
      if (!(skip_special_tokens && token.special)) repair.push(token.bytes, text);
    }
    repair.finish(text);
    return text;
  }

  /// The bytes that the token stands for, which may be part of a character. Throws
  /// std::out_of_range on an id without a token.
  const std::string& token_bytes(std::int64_t id) const { return entry(id).bytes; }

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
  struct Entry {
    std::string bytes;
    bool known = false;
    bool special = false;
  };

  Tokenizer(detail::Bpe bpe, detail::PreTokenizer pre_tokenizer, detail::AddedTokens added_tokens)
      : bpe_(std::move(bpe)),
        pre_tokenizer_(std::move(pre_tokenizer)),
        added_tokens_(std::move(added_tokens)) {}

  static void check_byte_level(const detail::JsonNode& root, const char* key) {
    const auto node = root.find(key);
    if (!node || node->value().is_null()) return;
    const detail::JsonNode type = node->at("type");
    if (type.string() != "ByteLevel") {
      node->fail("is not supported, got " + detail::describe(type.value()) + "; supported: " +
                 (std::string_view(key) == "decoder" ? "ByteLevel" : "null, ByteLevel"));
    }
    node->allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  }

  /// Fills entries_; `added` is where a clash is blamed.
  void index_tokens(const detail::JsonNode& added) {
    const auto slot = [&](std::int64_t id) -> Entry& {
      const auto index = static_cast<std::size_t>(id);
      if (index >= entries_.size()) entries_.resize(index + 1);
      return entries_[index];
    };
    for (const auto& [token, id] : bpe_.vocabulary())
      slot(id) = {detail::bytes_from_alphabet(token), true, false};
    for (std::size_t i = 0; i < added_tokens_.tokens().size(); ++i) {
      const detail::AddedToken& token = added_tokens_.tokens()[i];
      Entry& entry = slot(token.id);
      if (entry.known && !bpe_.vocabulary().contains(token.content)) {
        added.element(i).at("id").fail("must not be another token's, got " +
                                       std::to_string(token.id) + " for " +
                                       detail::describe(token.content));
      }
      entry = {detail::bytes_from_alphabet(token.content), true, token.special};
    }
  }

  const Entry& entry(std::int64_t id) const {
    if (id < 0 || id >= vocab_size() || !entries_[static_cast<std::size_t>(id)].known) {
      throw std::out_of_range("promptdistill: a token id must be one of the tokenizer's, in [0, " +
                              std::to_string(vocab_size()) + "), got " + std::to_string(id));
    }
    return entries_[static_cast<std::size_t>(id)];
  }

  detail::Bpe bpe_;
  detail::PreTokenizer pre_tokenizer_;
  detail::AddedTokens added_tokens_;
  std::vector<Entry> entries_;  // by id
};

}  // namespace promptdistill
