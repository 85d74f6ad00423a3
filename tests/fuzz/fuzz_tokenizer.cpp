// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include "promptdistill/text/tokenizer.hpp"
#include "tests/fuzz/round_trip.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {

void fuzz_tokenizer(std::string_view input) {
  static const TempDir folder;
  folder.write("tokenizer.json", std::string(input));
  loads(folder.path(), [] {
    const Tokenizer tokenizer = Tokenizer::load(folder.path());
    for (const char* text : {"", "abc", "x,-a.b  aaa\u2581b", "<s>  a b\tc1  \n<s>!",
                             "\u00e9\u4f60 123\u00a0 \U0001f642\u200d's"})
      check_decoding(tokenizer, tokenizer.encode(text));
  });
}

}  // namespace promptdistill::test
