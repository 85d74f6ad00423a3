// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Tiny tokenizers of every scheme: ids, text and streamed text are Hugging Face's.

#include <filesystem>
#include <fstream>
#include <string>

#include "promptdistill/text/text_stream.hpp"
#include "tests/catch.hpp"
#include "tests/text/tiny_tokenizer.hpp"

namespace promptdistill {
namespace {

using test::Ids;
using Json = nlohmann::json;

std::string streamed(const Tokenizer& tokenizer, const Ids& ids, bool skip) {
  TextStream stream(tokenizer, skip);
  std::string text;
  for (const std::int64_t id : ids) {
    const std::string part = stream.push(id);
    CHECK(detail::first_invalid_utf8(part) == std::string::npos);
    text += part;
  }
  return text + stream.finish();
}

TEST_CASE("ids and text of every scheme are Hugging Face's", "[text][golden]") {
  std::ifstream in(std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "text/schemes.json");
  const Json golden = Json::parse(in);
  REQUIRE(golden.size() == 8);
  for (const Json& scheme : golden) {
    INFO(scheme["name"]);
    const auto tokenizer = test::load_from<Tokenizer>("tokenizer.json", scheme["tokenizer"].dump());
    REQUIRE(scheme["entries"].size() > 80);
    for (const Json& entry : scheme["entries"]) {
      const auto ids = entry["ids"].get<Ids>();
      const auto text = entry.value("text", std::string());
      INFO("text " << text << ", ids " << entry["ids"]);
      if (entry.contains("text")) {
        CHECK(tokenizer.encode(text) == ids);
        CHECK(tokenizer.encode(text, false) == entry.value("plain", ids));
      }
      const auto decoded = entry.value("decoded", text);
      CHECK(tokenizer.decode(ids) == decoded);
      CHECK(streamed(tokenizer, ids, false) == decoded);
      const auto skipped = entry.value("skipped", decoded);
      CHECK(tokenizer.decode(ids, true) == skipped);
      CHECK(streamed(tokenizer, ids, true) == skipped);
    }
  }
}

}  // namespace
}  // namespace promptdistill
