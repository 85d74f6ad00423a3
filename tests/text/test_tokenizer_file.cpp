// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What Tokenizer::load() says of files that are damaged, contradict themselves or ask for what is
// not supported.

#include <string>

#include "promptdistill/text/tokenizer.hpp"
#include "tests/catch.hpp"
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
  CHECK(has(complaint("{}"), "pre_tokenizer is missing"));
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
  CHECK(has(complaint("/decoder", nullptr), "decoder must be an object, got null"));
  CHECK(has(complaint("/decoder/extra", true), "decoder.extra is not supported, got true"));
  CHECK(has(complaint("/decoder", "ByteLevel"), "decoder must be an object, got \"ByteLevel\""));

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
            "model.unk_token must be a token of model.vocab, got \"<unk>\""));
  CHECK(has(complaint("/model/continuing_subword_prefix", "##"),
            "model.continuing_subword_prefix is not supported, got \"##\""));
  CHECK(has(complaint("/model/end_of_word_suffix", "</w>"),
            "model.end_of_word_suffix is not supported, got \"</w>\""));
  CHECK(
      has(complaint("/model/fuse_unk", "no"), "model.fuse_unk must be true or false, got \"no\""));
  CHECK(has(complaint("/model/byte_fallback", 1),
            "model.byte_fallback must be true or false, got 1"));
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

TEST_CASE("a normalizer is supported or refused", "[text]") {
  const auto refusal = [](const Json& value) { return complaint("/normalizer", value); };
  CHECK(has(refusal(3), "normalizer must be an object, got 3"));
  CHECK(has(refusal(Json::object()), "normalizer.type is missing"));
  CHECK(has(refusal({{"type", "Lowercase"}}),
            "normalizer.type is not supported, got \"Lowercase\"; supported: Sequence, NFC, "));
  CHECK(has(refusal({{"type", "Sequence"}, {"normalizers", {{{"type", "NFD"}}}}}),
            "normalizer.normalizers[0].type is not supported, got \"NFD\""));
  CHECK(has(refusal({{"type", "Sequence"}, {"normalizers", "NFC"}}),
            "normalizer.normalizers must be an array, got \"NFC\""));
  CHECK(has(refusal({{"type", "Prepend"}, {"prepend", 1}}),
            "normalizer.prepend must be a string, got 1"));
  CHECK(has(refusal({{"type", "Replace"}, {"content", "x"}}), "normalizer.pattern is missing"));
  CHECK(has(refusal({{"type", "Replace"}, {"content", "x"}, {"pattern", {{"String", ""}}}}),
            "normalizer.pattern.String must not be empty"));
  CHECK(has(refusal({{"type", "Replace"}, {"content", "x"}, {"pattern", Json::object()}}),
            "normalizer.pattern must be one of String and Regex, got an object"));
  const auto growing = [](std::size_t size) -> Json {
    return {
        {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(size, 'a')}};
  };
  CHECK(refusal(growing(1023)) == "no LoadError");
  CHECK(has(refusal(growing(1024)),
            "normalizer.content must not let a text grow more than 1024 times by all steps"));
  CHECK(has(refusal({{"type", "Sequence"}, {"normalizers", {growing(31), growing(32)}}}),
            "normalizer.normalizers[1].content must not let a text grow more than 1024 times"));
  CHECK(has(refusal({{"type", "Prepend"}, {"prepend", std::string(1024, 'a')}}),
            "normalizer.prepend must not let a text grow"));
  // A hundred levels are the file's limit, so recursion is bounded.
  Json nested = {{"type", "NFC"}};
  for (int i = 0; i < 45; ++i) nested = {{"type", "Sequence"}, {"normalizers", {nested}}};
  CHECK(refusal(nested) == "no LoadError");
}

TEST_CASE("a pre-tokenizer is supported or refused", "[text]") {
  const auto refusal = [](const Json& value) { return complaint("/pre_tokenizer", value); };
  CHECK(refusal(nullptr) == "no LoadError");
  CHECK(has(refusal({{"type", "Whitespace"}}),
            "pre_tokenizer.type is not supported, got \"Whitespace\"; supported: Sequence, Split, "
            "Digits, ByteLevel, Metaspace"));
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", "a"}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  CHECK(refusal(split) == "no LoadError");
  const auto with = [&](const char* key, const Json& value) {
    Json changed = split;
    changed[key] = value;
    return refusal({{"type", "Sequence"}, {"pretokenizers", {changed}}});
  };
  const std::string at = "pre_tokenizer.pretokenizers[0].";
  CHECK(has(with("behavior", "Sideways"),
            at + "behavior must be Removed, Isolated, MergedWithPrevious, MergedWithNext or "
                 "Contiguous, got \"Sideways\""));
  CHECK(has(with("behavior", 1), at + "behavior must be a string, got 1"));
  CHECK(has(with("invert", "no"), at + "invert must be true or false, got \"no\""));
  CHECK(has(with("pattern", "a"), at + "pattern must be an object, got \"a\""));
  CHECK(has(with("pattern", {{"Regex", "(a"}}), at + "pattern.Regex must compile, at offset 2"));
  CHECK(has(with("pattern", {{"Regex", "[a&&b]"}}),
            at + "pattern.Regex uses an intersection of classes at offset 2, which is not "
                 "supported"));

  const Json byte_level = tiny_tokenizer()["pre_tokenizer"];
  CHECK(has(refusal({{"type", "Sequence"}, {"pretokenizers", {byte_level, byte_level}}}),
            "pre_tokenizer.pretokenizers[1] must not be a second ByteLevel"));

  const auto metaspace = [&](const char* key, const Json& value) {
    Json settings = {{"type", "Metaspace"}, {"replacement", "_"}};
    settings[key] = value;
    return refusal(settings);
  };
  CHECK(metaspace("split", false) == "no LoadError");
  CHECK(has(metaspace("replacement", "ab"),
            "pre_tokenizer.replacement must be one character, got \"ab\""));
  CHECK(has(metaspace("replacement", ""), "pre_tokenizer.replacement must be one character"));
  CHECK(has(metaspace("prepend_scheme", "last"),
            "pre_tokenizer.prepend_scheme must be always, first or never, got \"last\""));
  CHECK(has(metaspace("add_prefix_space", false),
            "pre_tokenizer.add_prefix_space must be true unless prepend_scheme is never"));
}

TEST_CASE("a post-processor is supported or refused", "[text]") {
  const auto refusal = [](const Json& value) { return complaint("/post_processor", value); };
  CHECK(has(refusal({{"type", "BertProcessing"}}),
            "post_processor.type is not supported, got \"BertProcessing\"; supported: Sequence, "
            "ByteLevel, TemplateProcessing"));
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json begin = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const auto with = [&](const Json& single, const Json& ids) {
    return Json{{"type", "TemplateProcessing"},
                {"single", single},
                {"pair", Json::array()},
                {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", ids}, {"tokens", {"<s>"}}}}}}};
  };
  const Json good = with({begin, text}, {10});
  CHECK(refusal(good) == "no LoadError");
  CHECK(has(refusal({{"type", "Sequence"}, {"processors", {good, good}}}),
            "post_processor.processors[1] must not be a second TemplateProcessing"));
  CHECK(has(refusal(with(Json::array({begin}), {10})),
            "post_processor.single must hold the Sequence A"));
  CHECK(has(refusal(with({text, text}, {10})),
            "post_processor.single[1].Sequence.id must be A, once, got \"A\""));
  CHECK(has(refusal(with({begin, text}, {15})),
            "post_processor.special_tokens.<s>.ids[0] must be the id of a token, got 15"));
  CHECK(has(refusal(with({begin, text}, {-1})),
            "post_processor.special_tokens.<s>.ids[0] must be an integer in [0, 4194304), got -1"));
  CHECK(has(refusal(with({begin, text}, 10)),
            "post_processor.special_tokens.<s>.ids must be an array, got 10"));
  CHECK(has(refusal(with({{{"SpecialToken", {{"id", "<t>"}}}}, text}, {10})),
            "post_processor.single[0].SpecialToken.id must be one of special_tokens, got "
            "\"<t>\""));
  Json both = begin;
  both["Sequence"] = text["Sequence"];
  CHECK(has(refusal(with(Json::array({both}), {10})),
            "post_processor.single[0] must be one of SpecialToken and Sequence"));
  CHECK(has(refusal(with("<s> $A", {10})), "post_processor.single must be an array"));
}

TEST_CASE("a decoder's steps come in an order that is supported", "[text]") {
  const auto refusal = [](const Json& steps) {
    return complaint("/decoder", {{"type", "Sequence"}, {"decoders", steps}});
  };
  const Json bytes = {{"type", "ByteFallback"}}, fuse = {{"type", "Fuse"}};
  const Json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", "_"}}}, {"content", " "}};
  const Json byte_level = {{"type", "ByteLevel"}};
  CHECK(refusal({replace, bytes, fuse, strip}) == "no LoadError");
  CHECK(refusal({byte_level, strip}) == "no LoadError");
  CHECK(has(refusal({bytes, replace}),
            "decoder.decoders[1] must come before ByteFallback, got \"Replace\""));
  CHECK(has(refusal({fuse, bytes}), "decoder.decoders[1] must come before Fuse and ByteLevel"));
  CHECK(has(refusal({replace, byte_level}), "decoder.decoders[1] must come first"));
  CHECK(has(refusal(Json::array({strip})),
            "decoder.decoders[0] must come once, after Fuse or ByteLevel"));
  CHECK(has(refusal({fuse, strip, strip}), "decoder.decoders[2] must come once, after Fuse"));
  CHECK(has(refusal(Json::array({{{"type", "WordPiece"}}})),
            "decoder.decoders[0].type is not supported, got \"WordPiece\""));
  Json other = strip;
  other["stop"] = 1;
  CHECK(has(refusal({fuse, other}),
            "decoder.decoders[1].stop is not supported, got 1; supported: 0"));
  other["content"] = "ab";
  CHECK(has(refusal({fuse, other}), "decoder.decoders[1].content must be one character"));
  other["start"] = -1;
  CHECK(has(refusal({fuse, other}), "decoder.decoders[1].content must be one character"));
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
  Json emptied = tiny_tokenizer();
  emptied["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "<s>"}}}, {"content", ""}};
  emptied["added_tokens"][0]["normalized"] = true;
  CHECK(has(complaint(emptied.dump()),
            "added_tokens[0].content must not be empty after normalisation"));
  CHECK(has(complaint("/added_tokens/0/content", std::string((1 << 20) + 1, 'x')),
            "added_tokens[0].content must not bring all contents over 1048576 bytes"));
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
