// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Tokenizer: ids and text against Hugging Face, behaviour on tiny vocabularies, and every
// complaint.

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "promptdistill/text/tokenizer.hpp"
#include "tests/catch.hpp"
#include "tests/real_model.hpp"
#include "tests/text/tiny_tokenizer.hpp"

namespace promptdistill {
namespace {

using test::added_token;
using test::Ids;
using test::tiny_tokenizer;
using Json = nlohmann::json;

Tokenizer load(const Json& json) {
  return test::load_from<Tokenizer>("tokenizer.json", json.dump());
}

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

TEST_CASE("SmolLM2's ids and text are Hugging Face's", "[text][real]") {
  const auto folder = test::real_model();
  if (!folder) return;
  const Tokenizer tokenizer = Tokenizer::load(*folder);
  CHECK(tokenizer.vocab_size() == 49152);
  CHECK(tokenizer.token_to_id("<|im_end|>") == 2);
  CHECK(tokenizer.is_special(2));
  const Json golden = test::smollm2_golden();
  REQUIRE(golden["texts"].size() > 100);
  for (const Json& entry : golden["texts"]) {
    const auto text = entry["text"].get<std::string>();
    const auto ids = entry["ids"].get<Ids>();
    INFO(entry["text"]);
    CHECK(tokenizer.encode(text) == ids);
    CHECK(tokenizer.encode(text, false) == ids);
    const std::string decoded = entry.value("decoded", text);
    CHECK(tokenizer.decode(ids) == decoded);
    CHECK(tokenizer.decode(ids, true) == entry.value("skipped", decoded));
  }
  for (const Json& entry : golden["cut"]) {
    CHECK(tokenizer.decode(entry["ids"].get<Ids>()) == entry["decoded"].get<std::string>());
  }
}

TEST_CASE("a long word costs no quadratic time", "[text][real]") {
  const auto folder = test::real_model();
  if (!folder) return;
  const Tokenizer tokenizer = Tokenizer::load(*folder);
  const std::string word(200'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  const Ids ids = tokenizer.encode(word);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  CHECK(tokenizer.decode(ids) == word);
}

TEST_CASE("threads may share a tokenizer", "[text]") {
  const Tokenizer tokenizer = load(tiny_tokenizer());
  const std::string text = "abc ab <s> 1! abcabc";
  const Ids expected = tokenizer.encode(text);
  std::array<int, 4> wrong{};
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) count += tokenizer.encode(text) != expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::array<int, 4>{});
}

TEST_CASE("merges apply by rank, then from the left", "[text]") {
  const Tokenizer tokenizer = load(tiny_tokenizer());
  CHECK(tokenizer.encode("") == Ids{});
  CHECK(tokenizer.encode("abc") == Ids{7});
  CHECK(tokenizer.encode("bc") == Ids{9});
  CHECK(tokenizer.encode("ab abc") == Ids{6, 3, 7});  // (a, b) outranks (Ġ, a)
  CHECK(tokenizer.encode(" a") == Ids{8});
  CHECK(tokenizer.encode("a<s>b") == Ids{0, 10, 1});
  CHECK(tokenizer.decode(Ids{8, 10, 7}) == " a<s>abc");
  CHECK(tokenizer.decode(Ids{8, 10, 7}, true) == " aabc");

  Json json = tiny_tokenizer();
  json["model"]["vocab"]["aa"] = 20;
  json["model"]["merges"] = Json::array({Json::array({"a", "a"})});
  CHECK(load(json).encode("aaaaa") == Ids{20, 20, 0});
}

TEST_CASE("merges may be written as pairs or as strings", "[text]") {
  Json json = tiny_tokenizer();
  json["model"]["merges"] = {"#version: 0.2", "a b", "\u0120 a", "b c", "ab c"};
  for (const char* text : {"abc", "ab abc", " abcbc"}) {
    CHECK(load(json).encode(text) == load(tiny_tokenizer()).encode(text));
  }
}

TEST_CASE("ignore_merges takes a whole piece that is a token", "[text]") {
  Json json = tiny_tokenizer();
  json["model"]["vocab"]["cab"] = 11;
  CHECK(load(json).encode("cab") == Ids{2, 6});
  json["model"]["ignore_merges"] = true;
  CHECK(load(json).encode("cab") == Ids{11});
  CHECK(load(json).encode("cabc") == Ids{2, 7});
}

TEST_CASE("a character that the vocabulary lacks gives no token", "[text]") {
  const Tokenizer tokenizer = load(tiny_tokenizer());
  CHECK(tokenizer.encode("axb\u00e9c") == Ids{7});  // as Hugging Face without unk_token
}

TEST_CASE("pre-tokenizers cut as configured", "[text]") {
  Json json = tiny_tokenizer();
  json["model"]["vocab"]["11"] = 11;
  json["model"]["merges"].push_back({"1", "1"});
  CHECK(load(json).encode("111") == Ids{11, 4});
  const Json byte_level = json["pre_tokenizer"];
  const auto digits = [](bool individual) -> Json {
    return {{"type", "Digits"}, {"individual_digits", individual}};
  };
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {digits(true), byte_level}}};
  CHECK(load(json).encode("111") == Ids{4, 4, 4});
  json["pre_tokenizer"]["pretokenizers"][0] = digits(false);
  CHECK(load(json).encode("11a1") == Ids{11, 0, 4});
  json["pre_tokenizer"] = digits(true);
  CHECK(load(json).encode("11ab") == Ids{4, 4, 6});

  json["pre_tokenizer"] = byte_level;
  json["pre_tokenizer"]["add_prefix_space"] = true;
  CHECK(load(json).encode("a") == Ids{8});
  CHECK(load(json).encode(" a") == Ids{8});
  CHECK(load(json).encode("") == Ids{});
  CHECK(load(json).encode("a<s>a") == Ids{8, 10, 8});  // after an added token too

  json["pre_tokenizer"] = byte_level;
  json["model"]["vocab"]["c\u0120"] = 12;
  json["model"]["merges"].push_back({"c", "\u0120"});
  CHECK(load(json).encode("c b") == Ids{2, 3, 1});
  json["pre_tokenizer"]["use_regex"] = false;
  CHECK(load(json).encode("c b") == Ids{12, 1});
}

TEST_CASE("added tokens are found before anything else", "[text]") {
  Json json = tiny_tokenizer();
  auto& added = json["added_tokens"];
  added.push_back(added_token(11, "<s"));
  added.push_back(added_token(12, "<s>ab"));
  SECTION("the longest of those that begin first") {
    CHECK(load(json).encode("<s>abc") == Ids{12, 2});
    CHECK(load(json).encode("<s>ac") == Ids{10, 0, 2});
    CHECK(load(json).encode("<s<s>") == Ids{11, 10});
  }
  SECTION("lstrip and rstrip take the white space") {
    added[0]["lstrip"] = true;
    CHECK(load(json).encode("a \t\u00a0<s> b") == Ids{0, 10, 3, 1});
    CHECK(load(json).encode(" <s> <s>") == Ids{10, 10});
    added[0]["lstrip"] = false;
    added[0]["rstrip"] = true;
    CHECK(load(json).encode("a <s>\n\u3000 b <s>") == Ids{0, 3, 10, 1, 3, 10});
  }
  SECTION("single_word needs a boundary on both sides") {
    added[1]["single_word"] = true;
    added[1]["content"] = "<w>";
    const Tokenizer tokenizer = load(json);
    CHECK(tokenizer.encode("<w> !<w>!") == Ids{11, 3, 5, 11, 5});
    CHECK(tokenizer.encode("a<w>") == Ids{0});
    CHECK(tokenizer.encode("<w>\u0301 \u00e9<w>") == Ids{3});
  }
  SECTION("normalized ones are looked for between the others") {
    added[2]["normalized"] = true;
    CHECK(load(json).encode("<s>ab") == Ids{10, 6});
  }
  SECTION("of two that normalisation makes one, the first special one is found") {
    json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "B"}}}, {"content", "b"}};
    for (const std::int64_t id : {13, 14, 15}) {
      added.push_back(added_token(id, id == 13 ? "<B>" : id == 14 ? "<b>" : "<BB>"));
      added.back()["normalized"] = true;
    }
    CHECK(load(json).encode("a<B><b>") == Ids{0, 13, 13});
    added[4]["special"] = true;
    CHECK(load(json).encode("a<B><b>") == Ids{0, 14, 14});
  }
  SECTION("one with a character outside the byte alphabet decodes literally") {
    added[1]["content"] = "x y\u4e2d";
    CHECK(load(json).decode(Ids{11, 8}) == "x y\u4e2d a");
    CHECK(load(json).token_to_id("x y\u4e2d") == 11);
  }
}

TEST_CASE("tokens can be looked up both ways", "[text]") {
  const Tokenizer tokenizer = load(tiny_tokenizer());
  CHECK(tokenizer.vocab_size() == 11);
  CHECK(tokenizer.token_to_id("\u0120a") == 8);
  CHECK_FALSE(tokenizer.token_to_id(" a"));
  CHECK(tokenizer.token_bytes(8) == " a");
  CHECK(tokenizer.token_bytes(10) == "<s>");
  CHECK(tokenizer.is_special(10));
  CHECK_FALSE(tokenizer.is_special(8));
}

TEST_CASE("bytes that are not UTF-8 decode to U+FFFD", "[text]") {
  Json json = tiny_tokenizer();
  // The byte alphabet's names of F0, 9F, 98, C3 and A9.
  const char* bytes[] = {"\u00f0", "\u0141", "\u013a", "\u00c3", "\u00a9"};
  for (int i = 0; i < 5; ++i) json["model"]["vocab"][bytes[i]] = 20 + i;
  const Tokenizer tokenizer = load(json);
  CHECK(tokenizer.decode(Ids{23, 24}) == "\u00e9");
  CHECK(tokenizer.decode(Ids{20, 21, 22}) == "\ufffd");    // cut off: one
  CHECK(tokenizer.decode(Ids{20, 21, 0}) == "\ufffda");    // a maximal part: one
  CHECK(tokenizer.decode(Ids{22, 22}) == "\ufffd\ufffd");  // stray continuations: one each
  CHECK(tokenizer.decode(Ids{23, 10, 24}) == "\ufffd<s>\ufffd");
  CHECK(tokenizer.decode(Ids{23, 10, 24}, true) == "\u00e9");
  CHECK(tokenizer.token_bytes(20) == "\xf0");
}

TEST_CASE("a text must be UTF-8", "[text]") {
  const Tokenizer tokenizer = load(tiny_tokenizer());
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                          "\xe2\x82", "\xf0\x80\x80\x80"}) {
    try {
      tokenizer.encode(std::string("ab\u00e9") + bad + "c");
      FAIL("took " << bad);
    } catch (const std::invalid_argument& error) {
      CHECK(has(error.what(), "must be valid UTF-8, it is not at byte 4"));
    }
  }
  CHECK_NOTHROW(tokenizer.encode("\U0010ffff\ud7ff\ue000\uffff"));
  CHECK_NOTHROW(tokenizer.encode(std::string_view("a\0b", 3)));
}

TEST_CASE("an id must be the tokenizer's", "[text]") {
  Json json = tiny_tokenizer();
  json["model"]["vocab"]["z"] = 20;  // 11 to 19 are nobody's
  const Tokenizer tokenizer = load(json);
  for (const std::int64_t id :
       {std::int64_t{-1}, std::int64_t{15}, std::int64_t{21}, INT64_MIN, INT64_MAX}) {
    try {
      tokenizer.decode(Ids{0, id});
      FAIL("took " << id);
    } catch (const std::out_of_range& error) {
      CHECK(has(error.what(), "in [0, 21), got " + std::to_string(id)));
    }
    CHECK_THROWS_AS(tokenizer.token_bytes(id), std::out_of_range);
    CHECK_THROWS_AS(tokenizer.is_special(id), std::out_of_range);
  }
}

}  // namespace
}  // namespace promptdistill
