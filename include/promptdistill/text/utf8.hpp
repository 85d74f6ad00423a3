#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// UTF-8, one character at a time: checked on the way in, repaired on the way out.

#include <cstddef>
#include <string>
#include <string_view>

namespace promptdistill::detail {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

/// What a text begins with: a whole character, one that the end of the text cuts off, or bytes that
/// no continuation makes valid (the longest such run, as Unicode recommends to replace by one
/// U+FFFD).
struct Utf8Step {
  enum class Kind { kWhole, kCutOff, kInvalid };
  Kind kind;
  std::size_t length;   // bytes
  char32_t code_point;  // of a whole character, else 0
};

/// `text` must not be empty.
inline Utf8Step utf8_step(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {Utf8Step::Kind::kWhole, 1, lead};
  std::size_t length = 0;
  if (lead >= 0xC2 && lead <= 0xDF) length = 2;
  if (lead >= 0xE0 && lead <= 0xEF) length = 3;
  if (lead >= 0xF0 && lead <= 0xF4) length = 4;
  if (length == 0) return {Utf8Step::Kind::kInvalid, 1, 0};
  char32_t code_point = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Utf8Step::Kind::kCutOff, i, 0};
    // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
    unsigned char low = 0x80, high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (byte(i) < low || byte(i) > high) return {Utf8Step::Kind::kInvalid, i, 0};
    code_point = (code_point << 6) | (byte(i) & 0x3FU);
  }
  return {Utf8Step::Kind::kWhole, length, code_point};
}

/// The byte offset of the first byte that is not part of valid UTF-8, or npos.
inline std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (step.kind != Utf8Step::Kind::kWhole) return at;
    at += step.length;
  }
  return std::string_view::npos;
}

/// `code_point` must be below U+0800: all that the byte alphabet needs.
inline void append_utf8(char32_t code_point, std::string& out) {
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else {
    out += static_cast<char>(0xC0U | (code_point >> 6));
    out += static_cast<char>(0x80U | (code_point & 0x3FU));
  }
}

/// Unicode's White_Space, the \s of Rust and of Oniguruma.
inline bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// Turns bytes that arrive in any pieces into valid UTF-8; what is invalid becomes U+FFFD, as in
/// Rust's from_utf8_lossy.
class Utf8Repair {
 public:
  /// Appends to `out` all that no later byte can change: whole characters only.
  void push(std::string_view bytes, std::string& out) {
    std::string joined;
    if (!pending_.empty()) {
      joined = pending_.append(bytes);
      bytes = joined;
      pending_.clear();
    }
    while (!bytes.empty()) {
      const Utf8Step step = utf8_step(bytes);
      if (step.kind == Utf8Step::Kind::kCutOff) {
        pending_ = bytes;
        return;
      }
      out += step.kind == Utf8Step::Kind::kWhole ? bytes.substr(0, step.length)
                                                 : kReplacementCharacter;
      bytes.remove_prefix(step.length);
    }
  }

  /// Ends the text: a character that is still incomplete becomes U+FFFD. Ready for a next text
  /// then.
  void finish(std::string& out) {
    if (!pending_.empty()) out += kReplacementCharacter;
    pending_.clear();
  }

 private:
  std::string pending_;  // the 1 to 3 bytes of a cut-off character
};

/// At most `limit` bytes, in whole characters, with "..." where something was cut.
inline std::string excerpt(std::string_view text, std::size_t limit) {
  std::string out;
  Utf8Repair repair;
  repair.push(text.substr(0, limit), out);
  return text.size() > limit ? out + "..." : out;
}

/// An excerpt in one line: what moves a terminal's cursor or colours it becomes a space.
inline std::string one_line(std::string_view text, std::size_t limit) {
  std::string out = excerpt(text, limit);
  for (std::size_t at = 0; at < out.size();) {
    const Utf8Step step = utf8_step(std::string_view(out).substr(at));
    const bool control =
        step.code_point < 0x20 || (step.code_point >= 0x7F && step.code_point < 0xA0);
    if (control) out.replace(at, step.length, 1, ' ');
    at += control ? 1 : step.length;
  }
  return out;
}

}  // namespace promptdistill::detail
