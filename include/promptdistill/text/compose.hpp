#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Unicode's composed form (NFC), as Hugging Face computes it.

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "promptdistill/text/utf8.hpp"

namespace promptdistill::detail {

// Hugging Face's tables for this are Unicode 9's: it passes by the marks that combine or compose
// only since (first and last of each range; utf8proc 2.8 has Unicode 15's).
inline constexpr std::array<std::pair<char32_t, char32_t>, 39> kMarksSinceUnicode9 = {
    {{0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
     {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27},
     {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
     {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
     {0x11930, 0x11930}, {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
     {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47},
     {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97},
     {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136},
     {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}}};

inline bool is_mark_since_unicode9(char32_t c) {
  const auto* const range =
      std::lower_bound(kMarksSinceUnicode9.begin(), kMarksSinceUnicode9.end(), c,
                       [](const auto& each, char32_t value) { return each.second < value; });
  return range != kMarksSinceUnicode9.end() && range->first <= c;
}

/// `text` must be valid UTF-8.
inline std::string compose(std::string_view text) {
  // Nothing before U+0300 combines, and its UTF-8 begins with a byte below 0xCC.
  const auto is_simple = [](char c) { return static_cast<unsigned char>(c) < 0xCC; };
  if (std::all_of(text.begin(), text.end(), is_simple)) return std::string(text);

  std::string out;
  const auto append = [&](std::string_view part) {
    utf8proc_uint8_t* composed = nullptr;
    const utf8proc_ssize_t size =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(part.data()),
                     static_cast<utf8proc_ssize_t>(part.size()), &composed,
                     static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
    if (size < 0) throw std::bad_alloc();  // nothing else can fail on valid UTF-8
    out.append(reinterpret_cast<const char*>(composed), static_cast<std::size_t>(size));
  };
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (is_mark_since_unicode9(step.code_point)) {
      append(text.substr(done, at - done));
      out += text.substr(at, step.length);
      done = at + step.length;
    }
    at += step.length;
  }
  append(text.substr(done));
  return out;
}

}  // namespace promptdistill::detail
