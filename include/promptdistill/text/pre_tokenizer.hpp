#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How a text is cut into the pieces that BPE works on, one after another.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "promptdistill/text/byte_level.hpp"
#include "promptdistill/text/json_node.hpp"
#include "promptdistill/text/regex.hpp"

namespace promptdistill::detail {

// Hugging Face's tables are Unicode 16's and PCRE2 10.42's Unicode 14's: the letters and numbers
// that came between, for use within a character class.
inline constexpr std::string_view kNewerLetters =
    R"(\x{1c89}-\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3})"
    R"(\x{10d4a}-\x{10d65}\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{1123f}-\x{11240})"
    R"(\x{11380}-\x{11389}\x{1138b}\x{1138e}\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3})"
    R"(\x{11bc0}-\x{11be0}\x{11f02}\x{11f04}-\x{11f10}\x{11f12}-\x{11f33}\x{1342f})"
    R"(\x{13441}-\x{13446}\x{13460}-\x{143fa}\x{16100}-\x{1611d}\x{16d40}-\x{16d6c})"
    R"(\x{18cff}\x{1b132}\x{1b155}\x{1df25}-\x{1df2a}\x{1e030}-\x{1e06d}\x{1e4d0}-\x{1e4eb})"
    R"(\x{1e5d0}-\x{1e5ed}\x{1e5f0}\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";
inline constexpr std::string_view kNewerNumbers =
    R"(\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f50}-\x{11f59})"
    R"(\x{16130}-\x{16139}\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1d2c0}-\x{1d2d3})"
    R"(\x{1e4f0}-\x{1e4f9}\x{1e5f1}-\x{1e5fa})";

/// A text and where its pieces end: piece i is text[ends[i-1], ends[i]), never empty.
struct Pieces {
  std::string text;
  std::vector<std::size_t> ends;

  explicit Pieces(std::string_view whole) : text(whole) {
    if (!text.empty()) ends.push_back(text.size());
  }

  template <class Visit>
  void for_each(Visit&& visit) const {
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      visit(std::string_view(text).substr(begin, end - begin));
      begin = end;
    }
  }
};

/// Makes every match a piece of its own, and what lies between matches too.
struct IsolateMatches {
  Regex regex;

  void operator()(Pieces& pieces) const {
    const Regex::MatchData data = regex.match_data();
    std::vector<std::size_t> ends;
    std::size_t start = 0;
    pieces.for_each([&](std::string_view piece) {
      std::size_t done = 0;
      regex.for_each_match(piece, data, [&](std::size_t begin, std::size_t end) {
        if (begin > done) ends.push_back(start + begin);
        ends.push_back(start + end);
        done = end;
      });
      if (done < piece.size()) ends.push_back(start + piece.size());
      start += piece.size();
    });
    pieces.ends = std::move(ends);
  }
};

/// Begins every piece with a space.
struct PrependSpace {
  void operator()(Pieces& pieces) const {
    Pieces result("");
    pieces.for_each([&](std::string_view piece) {
      if (!piece.starts_with(' ')) result.text += ' ';
      result.text += piece;
      result.ends.push_back(result.text.size());
    });
    pieces = std::move(result);
  }
};

/// Writes every byte as its character of the byte alphabet.
struct ToByteAlphabet {
  void operator()(Pieces& pieces) const {
    Pieces result("");
    result.text.reserve(pieces.text.size() * 2);
    pieces.for_each([&](std::string_view piece) {
      append_in_byte_alphabet(piece, result.text);
      result.ends.push_back(result.text.size());
    });
    pieces = std::move(result);
  }
};

/// A chain of steps, read from tokenizer.json's pre_tokenizer. An immutable value.
class PreTokenizer {
 public:
  /// Throws LoadError on what is not supported.
  static PreTokenizer parse(const JsonNode& node) {
    PreTokenizer result;
    result.add(node);
    return result;
  }

  /// `text` must be valid UTF-8.
  Pieces operator()(std::string_view text) const {
    Pieces pieces(text);
    for (const Step& step : steps_) {
      std::visit([&](const auto& apply) { apply(pieces); }, step);
    }
    return pieces;
  }

 private:
  using Step = std::variant<IsolateMatches, PrependSpace, ToByteAlphabet>;

  static std::string letters() { return std::string(R"(\p{L})").append(kNewerLetters); }
  static std::string numbers() { return std::string(R"(\p{N})").append(kNewerNumbers); }

  /// GPT-2's pattern. PCRE2's own \s takes U+180E for white space, Hugging Face's does not: spelt
  /// out.
  static std::string gpt2_pattern() {
    const std::string l = letters(), n = numbers();
    const std::string s = R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f})"
                          R"(\x{205f}\x{3000})";
    return "'s|'t|'re|'ve|'m|'ll|'d| ?[" + l + "]+| ?[" + n + "]+| ?[^" + s + l + n + "]+|[" + s +
           "]+(?![^" + s + "])|[" + s + "]+";
  }

  void add(const JsonNode& node) {
    const std::string& type = node.at("type").string();
    if (type == "Sequence") return add_sequence(node);
    if (type == "Digits") return add_digits(node);
    if (type == "ByteLevel") return add_byte_level(node);
    node.at("type").fail("is not supported, got " + describe(type) +
                         "; supported: Sequence, Digits, ByteLevel");
  }

  void add_sequence(const JsonNode& node) {
    node.allow_only({"type", "pretokenizers"});
    const JsonNode list = node.at("pretokenizers");
    list.require_array();
    for (std::size_t i = 0; i < list.value().size(); ++i) add(list.element(i));
  }

  void add_digits(const JsonNode& node) {
    node.allow_only({"type", "individual_digits"});
    const std::string number = "[" + numbers() + "]";
    steps_.push_back(
        IsolateMatches{Regex(node.at("individual_digits").boolean() ? number : number + "+")});
  }

  void add_byte_level(const JsonNode& node) {
    node.allow_only({"type", "add_prefix_space", "trim_offsets",
                     "use_regex"});  // no offsets here, so none to trim
    if (node.at("add_prefix_space").boolean()) steps_.push_back(PrependSpace{});
    const auto use_regex = node.find("use_regex");  // younger than the format: absent means true
    if (!use_regex || use_regex->boolean()) steps_.push_back(IsolateMatches{Regex(gpt2_pattern())});
    steps_.push_back(ToByteAlphabet{});
  }

  std::vector<Step> steps_;
};

}  // namespace promptdistill::detail
