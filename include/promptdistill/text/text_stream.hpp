#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Text from tokens as they arrive, never with half a character.

#include <cstdint>
#include <string>

#include "promptdistill/text/decoder.hpp"
#include "promptdistill/text/tokenizer.hpp"

namespace promptdistill {

/// decode() in instalments: all that push() and finish() return, joined, is decode() of all the
/// ids. One per answer.
class TextStream {
 public:
  /// `tokenizer` must outlive the stream.
  TextStream(const Tokenizer& tokenizer, bool skip_special_tokens)
      : tokenizer_(&tokenizer),
        stream_(tokenizer.decoder_),
        skip_special_tokens_(skip_special_tokens) {}

  /// The text that this token completes: whole characters, possibly none. Throws std::out_of_range
  /// on an id without a token.
  std::string push(std::int64_t id) {
    const Tokenizer::Entry& token = tokenizer_->entry(id);
    std::string text;
    if (!(token.special && skip_special_tokens_)) stream_.push(token.content, text);
    return text;
  }

  /// What is left: U+FFFD where the last character is incomplete, the characters spelt in byte
  /// tokens of which a next one might have made more, else nothing. The stream is then ready for a
  /// next answer.
  std::string finish() {
    std::string text;
    stream_.finish(text);
    return text;
  }

 private:
  const Tokenizer* tokenizer_;
  detail::Decoder::Stream stream_;
  bool skip_special_tokens_;
};

}  // namespace promptdistill
