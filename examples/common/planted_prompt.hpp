#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A long document with one planted fact and a question about it, built and counted in token ids.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/model/model_config.hpp"
#include "promptdistill/text.hpp"

namespace promptdistill::examples {

using Ids = std::vector<std::int64_t>;

/// The texts of some files, one after another, every run of white space made one space.
inline std::string read_plain(const std::vector<std::filesystem::path>& files) {
  std::string text;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw std::runtime_error("cannot open the document " + file.string());
    const std::string raw{std::istreambuf_iterator<char>(in), {}};
    for (const char c : raw) {
      const bool space = c == ' ' || (c >= '\t' && c <= '\r');
      if (!space) text += c;
      if (space && !text.empty() && text.back() != ' ') text += ' ';
    }
    if (!text.empty() && text.back() != ' ') text += ' ';
  }
  return text;
}

struct PlantedPrompt {
  Ids ids;
  std::int64_t fact_begin, fact_end;  // positions of the planted fact
};

/// Puts documents, facts and questions into the checkpoint's chat format.
class PromptPlanter {
 public:
  PromptPlanter(const Tokenizer& tokenizer, const ChatFormat& format, Ids document)
      : tokenizer_(tokenizer), document_(std::move(document)) {
    constexpr std::string_view kPlace = "\x1a";  // where the user's text goes
    const std::string whole = format.prompt(kPlace);
    const std::size_t place = whole.find(kPlace);
    head_ = tokenizer.encode(whole.substr(0, place), false);
    foot_ = whole.substr(place + kPlace.size());
  }

  std::int64_t document_tokens() const { return static_cast<std::int64_t>(document_.size()); }

  /// A prompt of exactly `length` tokens: the document from token `start` on, `fact` at `depth` (0
  /// to 1) of it, then `question`. Throws std::runtime_error where the document is too short.
  PlantedPrompt plant(std::int64_t length,
                      double depth,
                      std::int64_t start,
                      const std::string& fact,
                      const std::string& question) const {
    const Ids planted = tokenizer_.encode(" " + fact + " ", false);
    const Ids tail = tokenizer_.encode("\n\n" + question + foot_, false);
    const auto room =
        length - static_cast<std::int64_t>(head_.size() + planted.size() + tail.size());
    if (room < 1)
      throw std::runtime_error(
          fmt::format("a prompt of {} tokens has no room for the fact and the question", length));
    if (start + room > document_tokens()) {
      throw std::runtime_error(
          fmt::format("a prompt of {} tokens needs {} tokens of text, the document has {}", length,
                      start + room, document_tokens()));
    }
    const auto first = document_.begin() + start;
    const auto at = static_cast<std::int64_t>(static_cast<double>(room) * depth);
    PlantedPrompt prompt{head_, 0, 0};
    prompt.ids.insert(prompt.ids.end(), first, first + at);
    prompt.fact_begin = static_cast<std::int64_t>(prompt.ids.size());
    prompt.ids.insert(prompt.ids.end(), planted.begin(), planted.end());
    prompt.fact_end = static_cast<std::int64_t>(prompt.ids.size());
    prompt.ids.insert(prompt.ids.end(), first + at, first + room);
    prompt.ids.insert(prompt.ids.end(), tail.begin(), tail.end());
    return prompt;
  }

 private:
  const Tokenizer& tokenizer_;
  Ids document_;
  Ids head_;
  std::string foot_;
};

/// The answer's text up to the first stop token.
inline std::string answer_text(const Tokenizer& tokenizer,
                               const Ids& tokens,
                               const std::set<std::int64_t>& stop_ids) {
  const auto end = std::find_if(tokens.begin(), tokens.end(),
                                [&](std::int64_t id) { return stop_ids.contains(id); });
  return tokenizer.decode(Ids(tokens.begin(), end), true);
}

/// The checkpoint's end tokens and its chat format's end of turn.
inline std::set<std::int64_t> chat_stop_ids(const std::filesystem::path& model_dir,
                                            const Tokenizer& tokenizer,
                                            const ChatFormat& format) {
  std::set<std::int64_t> ids = load_stop_ids(model_dir);
  if (const auto end = tokenizer.token_to_id(format.end_of_turn())) ids.insert(*end);
  return ids;
}

}  // namespace promptdistill::examples
