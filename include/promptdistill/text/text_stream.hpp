#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Text from tokens as they arrive, never with half a character.

#include <cstdint>
#include <string>

#include "promptdistill/text/tokenizer.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill {

/// decode() in instalments: all that push() and finish() return, joined, is decode() of all the
/// ids. One per answer.
class TextStream {
 public:
  /// `tokenizer` must outlive the stream.
  TextStream(const Tokenizer& tokenizer, bool skip_special_tokens)
      : tokenizer_(&tokenizer), skip_special_tokens_(skip_special_tokens) {}

  /// The text that this token completes: whole characters, possibly none. Throws std::out_of_range
  /// on an id without a token.
  std::string push(std::int64_t id) {
    std::string text;
    if (!(tokenizer_->is_special(id) && skip_special_tokens_))
      repair_.push(tokenizer_->token_bytes(id), text);
    return text;
  }

  /// What is left: U+FFFD where the last character is incomplete, else nothing. The stream is then
  /// ready for a next answer.
  std::string finish() {
    std::string text;
    repair_.finish(text);
    return text;
  }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  detail::Utf8Repair repair_;
};

}  // namespace promptdistill
