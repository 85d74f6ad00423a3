// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// TextStream: whole characters only, and all together what decode() gives.

#include <random>
#include <string>

#include "promptdistill/text/text_stream.hpp"
#include "tests/catch.hpp"
#include "tests/real_model.hpp"
#include "tests/text/tiny_tokenizer.hpp"

namespace promptdistill {
namespace {

using test::Ids;

/// The tiny tokenizer with every byte a token: 100 + byte.
Tokenizer byte_tokenizer() {
  nlohmann::json json = test::tiny_tokenizer();
  json["model"]["merges"] = nlohmann::json::array();
  json["model"]["vocab"] = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    std::string name;
    detail::append_in_byte_alphabet(std::string(1, static_cast<char>(byte)), name);
    json["model"]["vocab"][name] = 100 + byte;
  }
  return test::load_from<Tokenizer>("tokenizer.json", json.dump());
}

void check_equals_decode(const Tokenizer& tokenizer, const Ids& ids) {
  for (const bool skip : {false, true}) {
    TextStream stream(tokenizer, skip);
    std::string text;
    for (const std::int64_t id : ids) {
      const std::string part = stream.push(id);
      REQUIRE(detail::first_invalid_utf8(part) == std::string::npos);
      text += part;
    }
    text += stream.finish();
    REQUIRE(text == tokenizer.decode(ids, skip));
  }
}

TEST_CASE("a character is given whole or not yet", "[text]") {
  const Tokenizer tokenizer = byte_tokenizer();
  TextStream stream(tokenizer, false);
  CHECK(stream.push(100 + 'a') == "a");
  CHECK(stream.push(100 + 0xE4).empty());
  CHECK(stream.push(100 + 0xB8).empty());
  CHECK(stream.push(100 + 0xAD) == "\u4e2d");
  CHECK(stream.push(100 + 0xF0).empty());
  CHECK(stream.push(100 + 'b') == "\ufffdb");
  CHECK(stream.push(100 + 0x80) == "\ufffd");  // nothing can make it valid
  CHECK(stream.push(100 + 0xF0).empty());
  CHECK(stream.finish() == "\ufffd");
  CHECK(stream.finish().empty());
  CHECK(stream.push(100 + 'c') == "c");
}

TEST_CASE("special tokens can be left out", "[text]") {
  const Tokenizer tokenizer = byte_tokenizer();
  CHECK(TextStream(tokenizer, false).push(10) == "<s>");
  CHECK(TextStream(tokenizer, true).push(10).empty());
  CHECK_THROWS_AS(TextStream(tokenizer, true).push(5), std::out_of_range);
}

TEST_CASE("random bytes stream to what decode gives", "[text]") {
  const Tokenizer tokenizer = byte_tokenizer();
  std::mt19937 random(3);
  // Mostly leads and continuations, so that sequences come close to valid.
  const std::string bytes =
      "a\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5\xff";
  for (int round = 0; round < 3000; ++round) {
    Ids ids;
    for (int i = 0; i < 12; ++i) {
      const auto draw = random() % (bytes.size() + 1);
      ids.push_back(draw == bytes.size() ? 10 : 100 + static_cast<unsigned char>(bytes[draw]));
    }
    check_equals_decode(tokenizer, ids);
  }
}

TEST_CASE("SmolLM2's texts stream to what decode gives", "[text][real]") {
  const auto folder = test::real_model();
  if (!folder) return;
  const Tokenizer tokenizer = Tokenizer::load(*folder);
  const nlohmann::json golden = test::smollm2_golden();
  for (const char* part : {"texts", "cut"}) {
    for (const auto& entry : golden[part]) check_equals_decode(tokenizer, entry["ids"].get<Ids>());
  }
}

}  // namespace
}  // namespace promptdistill
