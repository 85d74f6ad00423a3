#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What holds for the ids of any tokenizer.

#include <cstdint>
#include <string>
#include <vector>

#include "promptdistill/text/text_stream.hpp"
#include "promptdistill/text/tokenizer.hpp"
#include "promptdistill/text/utf8.hpp"
#include "tests/fuzz/targets.hpp"

namespace promptdistill::test {

/// Decodes at once and streamed. `ids` must be the tokenizer's.
inline void check_decoding(const Tokenizer& tokenizer, const std::vector<std::int64_t>& ids) {
  for (const bool skip_special_tokens : {false, true}) {
    const std::string whole = tokenizer.decode(ids, skip_special_tokens);
    TextStream stream(tokenizer, skip_special_tokens);
    std::string streamed;
    const auto take = [&](const std::string& part) {
      require(detail::first_invalid_utf8(part) == part.npos, "a streamed part is whole characters");
      streamed += part;
    };
    for (const std::int64_t id : ids) take(stream.push(id));
    take(stream.finish());
    require(streamed == whole, "a stream gives what decode() gives");
  }
}

}  // namespace promptdistill::test
