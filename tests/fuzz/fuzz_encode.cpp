// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "promptdistill/text/byte_level.hpp"
#include "promptdistill/text/tokenizer.hpp"
#include "tests/fuzz/round_trip.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/text/tiny_tokenizer.hpp"

namespace promptdistill::test {
namespace {

/// What decode(encode(text)) is, where that can be said in a line.
using RoundTrip = std::string (*)(std::string_view text);

struct Case {
  Tokenizer tokenizer;
  RoundTrip round_trip = nullptr;
};

/// Every byte, so that nothing is lost, and a few merges: two of them to whole characters.
nlohmann::json all_bytes() {
  nlohmann::json json = tiny_tokenizer();
  json["added_tokens"] = nlohmann::json::array();
  nlohmann::json& model = json["model"];
  model["vocab"] = nlohmann::json::object();
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    detail::append_utf8(detail::kByteAlphabet.character[byte], character);
    model["vocab"][character] = byte;
  }
  model["merges"] = nlohmann::json::array();
  const auto merge = [&](const std::string& left, const std::string& right) {
    model["merges"].push_back({left, right});
    model["vocab"].emplace(left + right, model["vocab"].size());
  };
  for (const auto& [left, right] : {std::pair("\u0120", "a"),
                                    {"a", "a"},
                                    {"aa", "aa"},
                                    {"a", "b"},
                                    {"ab", "c"},
                                    {"b", "c"},
                                    {"1", "2"},
                                    {"\u0120", "\u0120"},
                                    {"\u0120\u0120", "\u0120\u0120"},
                                    {"\u00c3", "\u00a9"},
                                    {"\u00e4", "\u00bd"},
                                    {"\u00e4\u00bd", "\u0142"},
                                    {"\u010a", "\u010a"}})
    merge(left, right);
  return json;
}

nlohmann::json added(const char* content, std::initializer_list<const char*> flags) {
  nlohmann::json token = added_token(0, content);
  for (const char* flag : flags) token[flag] = true;
  return token;
}

std::vector<Case> make_cases() {
  const auto load = [](const nlohmann::json& json) {
    return load_from<Tokenizer>("tokenizer.json", json.dump());
  };
  const RoundTrip same = [](std::string_view text) { return std::string(text); };
  const RoundTrip spaced = [](std::string_view text) {
    return std::string(text.empty() || text.starts_with(' ') ? "" : " ").append(text);
  };
  const nlohmann::json plain = all_bytes();
  nlohmann::json digits = plain, prefix = plain, tokens = plain;
  digits["model"]["ignore_merges"] = true;
  digits["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}}, plain["pre_tokenizer"]}}};
  prefix["pre_tokenizer"]["add_prefix_space"] = true;
  for (const auto& token :
       {added("<s>", {"special"}), added("<l>", {"special", "lstrip"}),
        added("<r>", {"rstrip", "normalized"}), added(" ", {"lstrip", "rstrip"}),
        added("ab", {"single_word"}), added("\u00e9", {"normalized"}),
        added("<s><s>", {"special", "rstrip"})}) {
    const std::size_t next = tokens["model"]["vocab"].size() + tokens["added_tokens"].size();
    tokens["added_tokens"].push_back(token);
    const auto known = tokens["model"]["vocab"].find(token["content"].get<std::string>());
    tokens["added_tokens"].back()["id"] =
        known != tokens["model"]["vocab"].end() ? known->get<std::size_t>() : next;
  }
  std::vector<Case> cases{{load(plain), same},
                          {load(digits), same},
                          {load(prefix), spaced},
                          {load(tokens)},
                          {load(tiny_tokenizer())}};
  std::ifstream in(std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "text/schemes.json");
  for (const nlohmann::json& scheme : nlohmann::json::parse(in))
    cases.push_back({load(scheme["tokenizer"])});
  return cases;
}

/// An opinion that is not ours.
bool is_utf8(std::string_view text) {
  try {
    nlohmann::json(std::string(text)).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

std::optional<std::vector<std::int64_t>> encode(const Tokenizer& tokenizer, std::string_view text) {
  try {
    return tokenizer.encode(text);
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

}  // namespace

void fuzz_encode(std::string_view input) {
  static const std::vector<Case> cases = make_cases();
  if (input.empty()) return;
  const auto& [tokenizer, round_trip] =
      cases[static_cast<unsigned char>(input.front()) % cases.size()];
  const std::string_view text = input.substr(1);

  const auto ids = encode(tokenizer, text);
  require(ids.has_value() == is_utf8(text), "valid UTF-8 encodes, and nothing else");
  if (ids) {
    check_decoding(tokenizer, *ids);
    if (round_trip)
      require(tokenizer.decode(*ids) == round_trip(text), "decode() gives back what was encoded");
  }
  std::vector<std::int64_t> arbitrary;
  for (const char byte : text)
    arbitrary.push_back(static_cast<unsigned char>(byte) % tokenizer.vocab_size());
  check_decoding(tokenizer, arbitrary);
}

}  // namespace promptdistill::test
