#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What libFuzzer and the replay test call: one function a kind of input, each throws where a
// property fails.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text/utf8.hpp"

namespace promptdistill::test {

void fuzz_safetensors(std::string_view input);  // a whole file
void fuzz_config(std::string_view input);       // each JSON file that the model part reads
void fuzz_tokenizer(std::string_view input);    // tokenizer.json
void fuzz_encode(std::string_view input);       // a byte that picks a tokenizer, then a text
void fuzz_chat(std::string_view input);         // a chat template

inline void require(bool holds, const std::string& property) {
  if (!holds) throw std::logic_error("not so: " + property);
}

/// Whether `load` succeeds. A LoadError is the one other answer: one that a terminal can take and
/// that names the file.
template <class Load>
bool loads(const std::filesystem::path& path, const Load& load) {
  constexpr std::size_t kLongestMessage = 2700;  // 800 bytes, if each were invalid
  try {
    load();
    return true;
  } catch (const LoadError& error) {
    const std::string_view text = error.what();
    require(text.size() < kLongestMessage, "a message is short");
    require(detail::first_invalid_utf8(text) == text.npos, "a message is valid UTF-8");
    require(std::none_of(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }),
            "a message is one line");
    require(text.find(path.string()) != text.npos, "a message names the file");
    require(!error.subject().empty(), "a message names the part at fault");
    return false;
  }
}

}  // namespace promptdistill::test
