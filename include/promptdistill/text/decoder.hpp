#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// From tokens back to text.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "promptdistill/text/byte_level.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/metaspace.hpp"
#include "promptdistill/text/normalizer.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

/// tokenizer.json's decoder: ByteLevel alone, or steps for every token (Replace, Metaspace), then
/// ByteFallback, Fuse and Strip, each of which may be missing. An immutable value.
class Decoder {
 public:
  /// What has been decoded of one text; holds back what later tokens can change.
  class Stream;

  /// Throws LoadError on what is not supported, an order of the steps included.
  static Decoder parse(const JsonNode& node) {
    Decoder result;
    std::size_t growth = 1;
    result.add(node, growth);
    return result;
  }

  /// The bytes that a token stands for where it is not a text's first. They may be part of a
  /// character.
  std::string bytes(std::string_view token) const {
    if (byte_level_) return bytes_from_alphabet(token);
    std::string text = apply(std::string(token), /*is_first=*/false);
    if (const auto byte = fallback_byte(text)) return std::string(1, *byte);
    return text;
  }

 private:
  struct ReplaceMarks {
    Metaspace settings;
    std::string operator()(std::string_view text, bool is_first) const {
      const bool drop = is_first && settings.prepend != Metaspace::Prepend::kNever;
      return Pattern::literal(settings.mark).replace(text, drop ? "" : " ");
    }
  };

  void add(const JsonNode& node, std::size_t& growth) {
    const std::string& type = node.at("type").string();
    const auto needs = [&](bool condition, const char* rule) {
      if (!condition) node.fail(std::string("must ") + rule + ", got " + describe(node.value()));
    };
    if (type == "Sequence") {
      node.allow_only({"type", "decoders"});
      const JsonNode list = node.at("decoders");
      list.require_array();
      for (std::size_t i = 0; i < list.value().size(); ++i) add(list.element(i), growth);
      return;
    }
    if (type == "Strip") {
      node.allow_only({"type", "content", "start", "stop"});
      needs((fused_ || byte_level_) && strip_ == 0, "come once, after Fuse or ByteLevel");
      stripped_ = node.at("content").string();
      if (stripped_.empty() || utf8_step(stripped_).length != stripped_.size())
        node.at("content").must_be("one character");
      strip_ = node.at("start").integer_below(kMaxStrip);
      if (node.at("stop").integer_below(kMaxStrip) != 0)
        node.at("stop").fail("is not supported, got " + describe(node.at("stop").value()) +
                             "; supported: 0");
      return;
    }
    needs(!fused_ && !byte_level_, "come before Fuse and ByteLevel");
    if (type == "Fuse") {
      node.allow_only({"type"});
      fused_ = true;
      return;
    }
    needs(!byte_fallback_, "come before ByteFallback");
    if (type == "ByteLevel") {
      node.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      needs(steps_.empty(), "come first");
      byte_level_ = true;
    } else if (type == "ByteFallback") {
      node.allow_only({"type"});
      byte_fallback_ = true;
    } else if (type == "Replace") {
      steps_.emplace_back(ReplaceMatches::parse(node, growth));
    } else if (type == "Metaspace") {
      steps_.emplace_back(ReplaceMarks{Metaspace::parse(node)});
    } else {
      node.at("type").fail(
          "is not supported, got " + describe(type) +
          "; supported: Sequence, ByteLevel, Replace, Metaspace, ByteFallback, Fuse, Strip");
    }
  }

  std::string apply(std::string token, bool is_first) const {
    for (const auto& step : steps_) {
      if (const auto* replace = std::get_if<ReplaceMatches>(&step)) {
        token = (*replace)(std::move(token));
      } else {
        token = std::get<ReplaceMarks>(step)(token, is_first);
      }
    }
    return token;
  }

  /// The byte that "<0x0A>" stands for.
  std::optional<char> fallback_byte(std::string_view token) const {
    if (!byte_fallback_ || token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
      return std::nullopt;
    unsigned char byte = 0;
    const auto end = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    if (end.ptr != token.data() + 5) return std::nullopt;
    return static_cast<char>(byte);
  }

  static constexpr std::int64_t kMaxStrip = std::int64_t{1} << 31;

  std::vector<std::variant<ReplaceMatches, ReplaceMarks>> steps_;
  bool byte_level_ = false, byte_fallback_ = false, fused_ = false;
  std::string stripped_;    // one character,
  std::int64_t strip_ = 0;  // taken so many times from the text's start
};

class Decoder::Stream {
 public:
  /// `decoder` must outlive the stream.
  explicit Stream(const Decoder& decoder) : decoder_(&decoder), strip_(decoder.strip_) {}

  /// Appends to `out` all that no later token can change: whole characters only.
  void push(std::string_view token, std::string& out) {
    std::string text;
    if (decoder_->byte_level_) {
      repair_.push(bytes_from_alphabet(token), text);
    } else {
      std::string applied = decoder_->apply(std::string(token), std::exchange(is_first_, false));
      if (const auto byte = decoder_->fallback_byte(applied)) {
        run_ += *byte;
        return;
      }
      end_run(text);
      text += applied;
    }
    strip(text, out);
  }

  /// Appends what is left. The stream is then ready for a next text.
  void finish(std::string& out) {
    std::string text;
    repair_.finish(text);
    end_run(text);
    strip(text, out);
    *this = Stream(*decoder_);
  }

 private:
  /// A run of byte tokens is text if all of it is, else every byte becomes U+FFFD, as in Hugging
  /// Face: so none of it can be given before its end.
  void end_run(std::string& out) {
    if (first_invalid_utf8(run_) == std::string::npos) {
      out += run_;
    } else {
      for (std::size_t i = 0; i < run_.size(); ++i) out += kReplacementCharacter;
    }
    run_.clear();
  }

  void strip(std::string_view text, std::string& out) {
    while (strip_ > 0 && text.starts_with(decoder_->stripped_)) {
      text.remove_prefix(decoder_->stripped_.size());
      --strip_;
    }
    if (!text.empty()) strip_ = 0;
    out += text;
  }

  const Decoder* decoder_;
  Utf8Repair repair_;  // for ByteLevel
  std::string run_;    // of ByteFallback's bytes
  std::int64_t strip_;
  bool is_first_ = true;
};

}  // namespace promptdistill::detail
