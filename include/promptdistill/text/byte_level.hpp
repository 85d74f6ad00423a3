#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// GPT-2's byte alphabet: every byte as one printable character, so that a vocabulary of bytes is a
// JSON of text.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

inline constexpr std::size_t kByteAlphabetEnd = 256 + 68;  // one past the last code point

/// Source: bytes_to_unicode() of GPT-2's encoder.py. Printable Latin-1 stands for itself, the rest
/// is U+0100 onwards.
struct ByteAlphabet {
  std::array<char16_t, 256> character{};
  std::array<std::int16_t, kByteAlphabetEnd> byte{};  // -1: not in the alphabet

  constexpr ByteAlphabet() {
    byte.fill(-1);
    char16_t next = 256;
    for (std::size_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
      character[b] = printable ? static_cast<char16_t>(b) : next++;
      byte[character[b]] = static_cast<std::int16_t>(b);
    }
  }
};

inline constexpr ByteAlphabet kByteAlphabet;

inline void append_in_byte_alphabet(std::string_view bytes, std::string& out) {
  for (const char c : bytes)
    append_utf8(kByteAlphabet.character[static_cast<unsigned char>(c)], out);
}

/// The bytes of a token. One with a character outside the alphabet (an added token) is taken
/// literally, as Hugging Face does. `token` must be valid UTF-8.
inline std::string bytes_from_alphabet(std::string_view token) {
  std::string bytes;
  for (std::string_view rest = token; !rest.empty();) {
    const Utf8Step step = utf8_step(rest);
    if (step.code_point >= kByteAlphabetEnd || kByteAlphabet.byte[step.code_point] < 0)
      return std::string(token);
    bytes += static_cast<char>(kByteAlphabet.byte[step.code_point]);
    rest.remove_prefix(step.length);
  }
  return bytes;
}

}  // namespace promptdistill::detail
