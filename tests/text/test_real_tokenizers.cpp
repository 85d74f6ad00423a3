// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Real vocabularies over some 300,000 tokens of mixed text each: ids, text and streamed text are
// Hugging Face's.

#include <cstddef>
#include <fstream>
#include <string>

#include "promptdistill/text/text_stream.hpp"
#include "tests/catch.hpp"
#include "tests/real_model.hpp"
#include "tests/text/tiny_tokenizer.hpp"

namespace promptdistill {
namespace {

using test::Ids;
using Json = nlohmann::json;

/// `entry` as it is after skipping none (decoded) or the special tokens (skipped).
void check_text(const Tokenizer& tokenizer, const Json& entry, const Ids& ids) {
  for (const bool skip : {false, true}) {
    const auto expected = entry[skip ? "skipped" : "decoded"].get<std::string>();
    if (tokenizer.decode(ids, skip) != expected) CHECK(tokenizer.decode(ids, skip) == expected);
    TextStream stream(tokenizer, skip);
    std::string text;
    for (const std::int64_t id : ids) {
      const std::string part = stream.push(id);
      if (detail::first_invalid_utf8(part) != std::string::npos) FAIL_CHECK("half a character");
      text += part;
    }
    text += stream.finish();
    if (text != expected) CHECK(text == expected);
  }
}

void check_tokenizer(const std::string& name, std::size_t least_ids) {
  const auto folder = test::real_tokenizer(name);
  if (!folder) return;
  const Tokenizer tokenizer = Tokenizer::load(*folder);
  std::ifstream in(*folder / "golden.json");
  const Json golden = Json::parse(in);
  const Ids added = golden["added"].get<Ids>();
  std::size_t count = 0;
  for (const Json& entry : golden["texts"]) {
    const auto text = entry["text"].get<std::string>();
    auto ids = entry["ids"].get<Ids>();
    count += ids.size();
    INFO(entry["text"]);
    if (tokenizer.encode(text) != ids) CHECK(tokenizer.encode(text) == ids);
    check_text(tokenizer, entry, ids);
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(added.size()));
    if (tokenizer.encode(text, false) != ids) CHECK(tokenizer.encode(text, false) == ids);
  }
  for (const Json& entry : golden["cuts"]) {
    INFO(entry["ids"]);
    check_text(tokenizer, entry, entry["ids"].get<Ids>());
  }
  CHECK(golden["texts"].size() > 2'000);
  CHECK(count >= least_ids);
}

TEST_CASE("Llama 3's ids and text are Hugging Face's", "[text][real]") {
  check_tokenizer("llama3", 200'000);
}

TEST_CASE("Qwen2's ids and text are Hugging Face's", "[text][real]") {
  check_tokenizer("qwen2", 200'000);
}

TEST_CASE("ids and text of Phi-3.5's scheme are Hugging Face's", "[text][real]") {
  check_tokenizer("phi3", 200'000);
}

TEST_CASE("SmolLM2's ids and text are Hugging Face's over much text", "[text][real]") {
  check_tokenizer("smollm2", 200'000);
}

}  // namespace
}  // namespace promptdistill
