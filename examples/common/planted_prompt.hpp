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
#include <utility>
#include <vector>

#include "examples/common/chat_frame.hpp"
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

/// The files of a folder in sorted order; links are other names of the same files.
inline std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// A sentence to plant and where, 0 to 1 of the document.
struct Needle {
  double depth;
  std::string text;
  std::string before = " ", after = " ";  // what sets it apart from the document
};

/// Positions [begin, end) in a prompt.
struct TokenRange {
  std::int64_t begin, end;
};

struct PlantedPrompt {
  Ids ids;
  std::vector<TokenRange> needles;  // in the order they were given
  std::int64_t question = 0;        // where what follows the document begins
};

/// Puts documents, needles and questions into the checkpoint's chat format.
class PromptPlanter {
 public:
  PromptPlanter(const Tokenizer& tokenizer, const ChatFormat& format, Ids document)
      : tokenizer_(tokenizer), document_(std::move(document)) {
    const ChatFrame frame = ChatFrame::of(format);
    head_ = tokenizer.encode(frame.head, false);
    foot_ = frame.foot;
  }

  std::int64_t document_tokens() const { return static_cast<std::int64_t>(document_.size()); }

  /// A prompt of exactly `length` tokens: `opening`, the document from token `start` on with the
  /// needles in it, then `question`. A needle stands at its depth, or with `between_sentences` at
  /// the end of the sentence nearest to it. Throws std::runtime_error where there is no room or too
  /// little text.
  PlantedPrompt plant(std::int64_t length,
                      std::int64_t start,
                      const std::vector<Needle>& needles,
                      const std::string& question,
                      bool between_sentences = false,
                      const std::string& opening = "") const {
    PlantedPrompt prompt{head_, std::vector<TokenRange>(needles.size())};
    const auto add = [&](const Ids& ids) {
      prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
    };
    if (!opening.empty()) add(tokenizer_.encode(opening, false));
    const Ids tail = tokenizer_.encode("\n\n" + question + foot_, false);
    std::vector<Ids> planted;
    std::size_t fixed = prompt.ids.size() + tail.size();
    for (const Needle& needle : needles) {
      planted.push_back(tokenizer_.encode(needle.before + needle.text + needle.after, false));
      fixed += planted.back().size();
    }
    const std::int64_t room = length - static_cast<std::int64_t>(fixed);
    if (room < 1)
      throw std::runtime_error(
          fmt::format("a prompt of {} tokens has no room for what is planted and asked", length));
    if (start + room > document_tokens()) {
      throw std::runtime_error(
          fmt::format("a prompt of {} tokens needs {} tokens of text, the document has {}", length,
                      start + room, document_tokens()));
    }
    const auto first = document_.begin() + start;
    std::vector<std::pair<std::int64_t, std::size_t>> places;  // tokens of the document before it
    for (std::size_t n = 0; n < needles.size(); ++n) {
      auto at = static_cast<std::int64_t>(static_cast<double>(room) * needles[n].depth);
      if (between_sentences) at = sentence_end(start, room, at);
      places.emplace_back(at, n);
    }
    std::sort(places.begin(), places.end());
    std::int64_t done = 0;
    for (const auto& [at, n] : places) {
      prompt.ids.insert(prompt.ids.end(), first + done, first + at);
      done = at;
      prompt.needles[n].begin = std::ssize(prompt.ids);
      add(planted[n]);
      prompt.needles[n].end = std::ssize(prompt.ids);
    }
    prompt.ids.insert(prompt.ids.end(), first + done, first + room);
    prompt.question = std::ssize(prompt.ids);
    add(tail);
    return prompt;
  }

 private:
  /// The place nearest to `at` of the `room` tokens from `start` on that has the end of a sentence
  /// or line, or the document's begin or end, before it.
  std::int64_t sentence_end(std::int64_t start, std::int64_t room, std::int64_t at) const {
    const auto ends = [&](std::int64_t place) {
      if (place <= 0 || place >= room) return true;
      const std::string token =
          tokenizer_.decode(Ids{document_[static_cast<std::size_t>(start + place - 1)]}, false);
      return !token.empty() &&
             std::string_view(".!?\n").find(token.back()) != std::string_view::npos;
    };
    for (std::int64_t away = 0;; ++away) {
      if (ends(at - away)) return std::max<std::int64_t>(at - away, 0);
      if (ends(at + away)) return std::min(at + away, room);
    }
  }

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
