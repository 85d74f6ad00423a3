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

std::string complaint(std::string_view text) {
  return test::load_error<Tokenizer>("tokenizer.json", text);
}

/// The complaint about the tiny tokenizer with one value replaced.
std::string complaint(const char* pointer, const Json& value) {
  Json json = tiny_tokenizer();
  json[Json::json_pointer(pointer)] = value;
  return complaint(json.dump());
}

std::string without(const char* parent, const char* key) {
  Json json = tiny_tokenizer();
  json.at(Json::json_pointer(parent)).erase(key);
  return complaint(json.dump());
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

TEST_CASE("a file that is no tokenizer is refused", "[text]") {
  const test::TemporaryFolder folder;
  CHECK(has(test::load_error<Tokenizer>(folder), "tokenizer.json: the file cannot be opened"));
  std::filesystem::create_directory(folder.path() / "tokenizer.json");
  CHECK(has(test::load_error<Tokenizer>(folder), "the file must be a regular file"));

  CHECK(has(complaint(""), "the file must be JSON: "));
  CHECK(has(complaint("hello"), "the file must be JSON: "));
  CHECK(has(complaint("{\"a\": \"\xff\"}"), "the file must be JSON: "));
  CHECK(has(complaint(R"({"a": "\ud800"})"), "the file must be JSON: "));
  CHECK(has(complaint("[1, 2]"), "the file must hold a JSON object, got an array"));
  CHECK(has(complaint("null"), "the file must hold a JSON object, got null"));
  CHECK(has(complaint("{}"), "decoder is missing"));
  CHECK(has(complaint(std::string(1'000'000, '[')), "the file must nest at most 100 deep"));
  CHECK(has(complaint("{\"model\":" + std::string(101, '[') + std::string(101, ']') + "}"),
            "the file must nest at most 100 deep"));

  const std::string whole = tiny_tokenizer().dump();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (!has(complaint(whole.substr(0, length)), "the file must be JSON: ")) FAIL_CHECK(length);
  }
  std::filesystem::remove(folder.path() / "tokenizer.json");
  folder.write("tokenizer.json", "{}");
  std::filesystem::resize_file(folder.path() / "tokenizer.json", detail::kMaxJsonBytes + 1);
  CHECK(has(test::load_error<Tokenizer>(folder),
            "the file must be at most 67108864 bytes, got 67108865"));
}

TEST_CASE("what a tokenizer asks for is supported or refused", "[text]") {
  CHECK(has(complaint("/surprise", 1),
            "surprise is not supported, got 1; supported here: version, "));
  CHECK(has(complaint("/version", "2.0"),
            "version is not supported, got \"2.0\"; supported: null or \"1.0\""));
  CHECK(has(complaint("/truncation", {{"max_length", 8}}),
            "truncation is not supported, got an object; supported: null"));
  CHECK(has(complaint("/padding", {{"pad_id", 0}}),
            "padding is not supported, got an object; supported: null"));
  CHECK(has(complaint("/normalizer", {{"type", "NFC"}}),
            "normalizer is not supported, got \"NFC\"; supported: null"));
  CHECK(has(
      complaint("/post_processor", {{"type", "TemplateProcessing"}}),
      "post_processor is not supported, got \"TemplateProcessing\"; supported: null, ByteLevel"));
  CHECK(has(complaint("/decoder", {{"type", "Fuse"}}),
            "decoder is not supported, got \"Fuse\"; supported: ByteLevel"));
  CHECK(has(complaint("/decoder", nullptr), "decoder must be ByteLevel, got null"));
  CHECK(has(complaint("/decoder/extra", true), "decoder.extra is not supported, got true"));
  CHECK(has(complaint("/decoder", "ByteLevel"), "decoder must be an object, got \"ByteLevel\""));

  CHECK(has(complaint("/pre_tokenizer", nullptr), "pre_tokenizer must be an object, got null"));
  CHECK(has(complaint("/pre_tokenizer", {{"type", "Metaspace"}}),
            "pre_tokenizer.type is not supported, got \"Metaspace\"; supported: Sequence, Digits, "
            "ByteLevel"));
  CHECK(has(
      complaint("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Split"}}}}}),
      "pre_tokenizer.pretokenizers[0].type is not supported, got \"Split\""));
  CHECK(has(complaint("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", 3}}),
            "pre_tokenizer.pretokenizers must be an array, got 3"));
  CHECK(has(complaint("/pre_tokenizer", {{"type", "Digits"}}),
            "pre_tokenizer.individual_digits is missing"));
  CHECK(has(complaint("/pre_tokenizer/add_prefix_space", "no"),
            "pre_tokenizer.add_prefix_space must be true or false, got \"no\""));
  CHECK(has(complaint("/pre_tokenizer/behavior", "Isolated"),
            "pre_tokenizer.behavior is not supported, got \"Isolated\""));

  CHECK(has(without("", "model"), "model is missing"));
  CHECK(has(without("", "pre_tokenizer"), "pre_tokenizer is missing"));
  CHECK(has(complaint("/model", Json::array()), "model must be an object, got an array"));
  CHECK(has(complaint("/model/type", "Unigram"),
            "model.type is not supported, got \"Unigram\"; supported: BPE"));
  CHECK(has(complaint("/model/dropout", 0.1),
            "model.dropout is not supported, got 0.1; supported: null or 0.0"));
  CHECK(has(complaint("/model/unk_token", "<unk>"),
            "model.unk_token is not supported, got \"<unk>\"; supported: null"));
  CHECK(has(complaint("/model/continuing_subword_prefix", "##"),
            "model.continuing_subword_prefix is not supported, got \"##\""));
  CHECK(has(complaint("/model/end_of_word_suffix", "</w>"),
            "model.end_of_word_suffix is not supported, got \"</w>\""));
  CHECK(has(complaint("/model/fuse_unk", true),
            "model.fuse_unk is not supported, got true; supported: null or false"));
  CHECK(has(complaint("/model/byte_fallback", true),
            "model.byte_fallback is not supported, got true; supported: null or false"));
  CHECK(has(complaint("/model/ignore_merges", 1),
            "model.ignore_merges must be true or false, got 1"));
  CHECK(has(complaint("/model/extra", 1), "model.extra is not supported, got 1"));

  Json accepted = tiny_tokenizer();
  accepted["post_processor"] = accepted["decoder"];
  accepted["model"]["end_of_word_suffix"] = "";
  accepted["model"]["continuing_subword_prefix"] = "";
  accepted["model"]["dropout"] = 0;
  for (const char* key : {"version", "truncation", "padding", "added_tokens", "normalizer"})
    accepted.erase(key);
  CHECK_NOTHROW(load(accepted));
}

TEST_CASE("a vocabulary and its merges must agree", "[text]") {
  CHECK(has(without("/model", "vocab"), "model.vocab is missing"));
  CHECK(has(without("/model", "merges"), "model.merges is missing"));
  CHECK(has(complaint("/model/vocab", {"a", "b"}),
            "model.vocab must be an object of tokens and ids, got an array"));
  const std::string ids = "model.vocab must have ids that are integers in [0, 4194304), got ";
  CHECK(has(complaint("/model/vocab/z", -1), ids + "-1 for \"z\""));
  CHECK(has(complaint("/model/vocab/z", 4194304), ids + "4194304 for \"z\""));
  CHECK(has(complaint("/model/vocab/z", UINT64_MAX), ids + "18446744073709551615 for \"z\""));
  CHECK(has(complaint("/model/vocab/z", 1.0), ids + "1.0 for \"z\""));
  CHECK(has(complaint("/model/vocab/z", "1"), ids + "\"1\" for \"z\""));
  CHECK(has(complaint("/model/vocab/z", Json::array()), ids + "an array for \"z\""));
  CHECK(has(complaint("/model/vocab/z", 1),
            "model.vocab must have distinct ids, got 1 for both \"b\" and \"z\""));

  CHECK(has(complaint("/model/merges", "a b"), "model.merges must be an array, got \"a b\""));
  CHECK(has(complaint("/model/merges/1", 3), "model.merges[1] must be a pair of tokens, got 3"));
  CHECK(has(complaint("/model/merges/1", {"a"}),
            "model.merges[1] must be a pair of tokens, got an array"));
  CHECK(has(complaint("/model/merges/1", {"a", 1}),
            "model.merges[1] must be a pair of tokens, got an array"));
  CHECK(has(complaint("/model/merges/1", "ab"),
            "model.merges[1] must be two tokens with one space between, got \"ab\""));
  CHECK(has(complaint("/model/merges/1", "a b c"),
            "model.merges[1] must be two tokens with one space between"));
  CHECK(has(complaint("/model/merges/1", {"a", "x"}),
            "model.merges[1] must name tokens of model.vocab, got \"x\""));
  CHECK(has(complaint("/model/merges/1", {"c", "c"}),
            "model.merges[1] must name tokens of model.vocab, got \"cc\""));
  CHECK(complaint("/model/merges/1", {"a", std::string(100'000, 'x')}).size() < 400);
}

TEST_CASE("added tokens must agree with the vocabulary", "[text]") {
  CHECK(has(complaint("/added_tokens", 1), "added_tokens must be an array, got 1"));
  CHECK(has(complaint("/added_tokens/0", 1), "added_tokens[0] must be an object, got 1"));
  CHECK(has(without("/added_tokens/0", "id"), "added_tokens[0].id is missing"));
  CHECK(has(without("/added_tokens/0", "rstrip"), "added_tokens[0].rstrip is missing"));
  CHECK(has(complaint("/added_tokens/0/id", -1),
            "added_tokens[0].id must be an integer in [0, 4194304), got -1"));
  CHECK(has(complaint("/added_tokens/0/id", 1e18),
            "added_tokens[0].id must be an integer in [0, 4194304)"));
  CHECK(has(complaint("/added_tokens/0/content", ""), "added_tokens[0].content must not be empty"));
  CHECK(has(complaint("/added_tokens/0/special", nullptr),
            "added_tokens[0].special must be true or false, got null"));
  CHECK(
      has(complaint("/added_tokens/0/other", 1), "added_tokens[0].other is not supported, got 1"));
  CHECK(has(complaint("/added_tokens/0/id", 3),
            "added_tokens[0].id must not be another token's, got 3 for \"<s>\""));
  CHECK(has(complaint("/added_tokens/1", added_token(10, "<t>")),
            "added_tokens[1].id must not be another token's, got 10 for \"<t>\""));
  CHECK(has(complaint("/added_tokens/1", added_token(11, "<s>")),
            "added_tokens[1].content must be listed once, got \"<s>\" again"));
  CHECK(has(complaint("/added_tokens/1", added_token(11, "ab")),
            "added_tokens[1].id must be the id of \"ab\" in model.vocab, 6, got 11"));
  Json json = tiny_tokenizer();
  json["added_tokens"].push_back(added_token(6, "ab"));
  CHECK(load(json).encode("abc") == Ids{6, 2});
}

}  // namespace
}  // namespace promptdistill
