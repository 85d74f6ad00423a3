#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// tokenizer.json's patterns are Oniguruma's, with Hugging Face's Unicode tables: the same in
// PCRE2's syntax.

#include <cctype>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

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

// PCRE2's own \s takes U+180E for white space. Both are for use within a class; the second spells
// the complement out, since a class cannot hold a negated one.
inline constexpr std::string_view kWhiteSpace = R"(\t-\r \x{85}\x{a0}\p{Z})";
inline constexpr std::string_view kNoWhiteSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}!-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff})"
    R"(\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

/// Rewrites what differs between the two and refuses what it does not know, so that no pattern
/// quietly means something else.
class OnigurumaPattern {
 public:
  /// Throws std::invalid_argument with the byte offset where something is not supported.
  static std::string to_pcre2(std::string_view pattern) {
    OnigurumaPattern reader(pattern);
    while (!reader.rest().empty()) reader.next();
    return reader.out_;
  }

 private:
  explicit OnigurumaPattern(std::string_view pattern) : in_(pattern) {}

  std::string_view rest() const { return in_.substr(at_); }
  bool starts(std::string_view text) const { return rest().starts_with(text); }

  [[noreturn]] void refuse(std::string_view what) const {
    throw std::invalid_argument("uses " + std::string(what) + " at offset " + std::to_string(at_) +
                                ", which is not supported");
  }

  void copy(std::size_t count) {
    out_ += rest().substr(0, count);
    at_ += count;
  }

  void next() {
    switch (in_[at_]) {
      case '\\':
        return escape(/*in_class=*/false);
      case '[':
        return character_class();
      case '(':
        return group();
      case '{':
        return repetition();
      case '^':  // of any line, as in Ruby
        out_ += "(?m:^)";
        ++at_;
        return;
      case '$':
        out_ += "(?m:$)";
        ++at_;
        return;
      default:
        return copy(1);
    }
  }

  void group() {
    if (!starts("(?")) return copy(1);
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (starts(known)) return copy(known.size());
    }
    if (starts("(?i:")) return caseless_group();
    refuse("the group " + std::string(rest().substr(0, 4)));
  }

  /// Only what folds alike in both: Oniguruma also matches members of a class by their other case,
  /// and one ligature or sharp s for two letters.
  void caseless_group() {
    std::string body(rest().substr(0, rest().find(')')));
    for (char& c : body) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 0x80) refuse("a case-insensitive group beyond ASCII");
      c = static_cast<char>(std::tolower(byte));
    }
    for (const char* other : {"[", "\\", "(", "ss", "st", "ff", "fi", "fl"}) {
      if (body.find(other, 1) != body.npos)
        refuse("a case-insensitive group with " + std::string(other));
    }
    copy(body.size());
  }

  /// {n}, {n,} or {n,m}. In Ruby what follows it has another meaning than in PCRE2, and {,n} too.
  void repetition() {
    std::size_t end = at_ + 1;
    const auto digits = [&] {
      const std::size_t begin = end;
      while (end < in_.size() && std::isdigit(static_cast<unsigned char>(in_[end]))) ++end;
      return end > begin;
    };
    bool valid = digits();
    if (valid && end < in_.size() && in_[end] == ',') {
      ++end;
      digits();
    }
    valid = valid && end < in_.size() && in_[end] == '}';
    const std::string_view after = valid ? in_.substr(end + 1, 1) : "";
    if (!valid || after == "?" || after == "+") refuse("a brace that is no plain repetition");
    copy(end + 1 - at_);
  }

  void character_class() {
    const bool negated = starts("[^");
    copy(negated ? 2 : 1);
    if (starts("]")) refuse("] as a class's first member");
    while (!starts("]")) {
      if (rest().empty()) refuse("a class without its end");
      if (starts("[")) refuse("a class within a class");
      if (starts("&&")) refuse("an intersection of classes");
      if (starts("\\")) {
        escape(/*in_class=*/true);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  void escape(bool in_class) {
    const std::string_view text = rest();
    const char c = text.size() < 2 ? '\0' : text[1];
    // What stands for characters outside of a class is put into one of its own.
    const auto members = [&](std::string_view list, bool negated, std::size_t length) {
      if (!in_class) out_ += negated ? "[^" : "[";
      out_ += list;
      if (!in_class) out_ += ']';
      at_ += length;
    };
    if (c == 's') return members(kWhiteSpace, false, 2);
    if (c == 'S') return members(in_class ? kNoWhiteSpace : kWhiteSpace, true, 2);
    if (c == 'p' || c == 'P') {
      const std::size_t end = text.find('}');
      if (end == text.npos || text[2] != '{') refuse("a property without braces");
      const std::string_view property = text.substr(0, end + 1);
      const std::string_view name = text.substr(3, end - 3);
      // The property comes last, so that a hyphen after it is an error and no range.
      const auto extended = [&](std::string_view newer) {
        // A class cannot say "not one of": there \P stays with PCRE2's tables.
        if (c == 'P' && in_class) return copy(property.size());
        members(std::string(newer).append("\\p{").append(name).append("}"), c == 'P',
                property.size());
      };
      if (name == "L") return extended(kNewerLetters);
      if (name == "N") return extended(kNewerNumbers);
      // Scripts are sets of other characters in PCRE2, with those that they share.
      static constexpr std::string_view kCategories =
          " M P S Z C Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp "
          "Cc "
          "Cf Cn Co ";
      if (kCategories.find(" " + std::string(name) + " ") == kCategories.npos)
        refuse("the property " + std::string(property));
      return copy(property.size());
    }
    if (c == 'd') return members("\\p{Nd}", false, 2);
    if (c == 'v') {  // a class of its own in PCRE2
      out_ += "\\x{b}";
      at_ += 2;
      return;
    }
    if (c == 'x' && text.substr(2).starts_with('{')) {
      const std::size_t end = text.find('}');
      if (end != text.npos) return copy(end + 1);
    }
    const bool plain = std::string_view("rntfae").find(c) != std::string_view::npos ||
                       (c > ' ' && c < 0x7F && !std::isalnum(static_cast<unsigned char>(c)));
    if (!plain) refuse("the escape " + std::string(text.substr(0, 2)));
    copy(2);
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace promptdistill::detail
