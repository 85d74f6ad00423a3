#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How a reply is scored against a reference, each from 0 to 1. They restate the definitions of the
// benchmarks, whose code is Python, so that scores can be compared with published ones.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/evaluate/characters.hpp"
#include "examples/evaluate/sequence_matcher.hpp"

namespace promptdistill::examples {

namespace detail {

/// Twice the shared words, counted as often as both have them, over the words of both.
inline double f1(std::vector<Characters> reply, std::vector<Characters> reference) {
  std::sort(reply.begin(), reply.end());
  std::sort(reference.begin(), reference.end());
  std::vector<Characters> shared;
  std::set_intersection(reply.begin(), reply.end(), reference.begin(), reference.end(),
                        std::back_inserter(shared));
  if (shared.empty()) return 0;
  const auto same = static_cast<double>(shared.size());
  const double precision = same / static_cast<double>(reply.size()),
               recall = same / static_cast<double>(reference.size());
  return 2 * precision * recall / (precision + recall);
}

/// Lower case without ASCII punctuation and the words a, an, the.
inline std::vector<Characters> answer_words(std::string_view text) {
  Characters kept;
  for (const char32_t c : lower(characters(text)))
    if (!is_ascii_punctuation(c)) kept += c;
  // An article is a whole run of letters and digits, not a part between white space.
  Characters without, run;
  const auto end_run = [&] {
    const bool article = run == U"a" || run == U"an" || run == U"the";
    without += article ? U" " : run;
    run.clear();
  };
  for (const char32_t c : kept) {
    if (is_alphanumeric(c)) {
      run += c;
      continue;
    }
    end_run();
    without += c;
  }
  end_run();
  return words(without);
}

/// Words as numbers, so that comparing them is cheap.
class WordNumbers {
 public:
  std::vector<int> of(const std::vector<Characters>& words) {
    std::vector<int> out;
    for (const Characters& word : words)
      out.push_back(numbers_.emplace(word, static_cast<int>(numbers_.size())).first->second);
    return out;
  }

 private:
  std::map<Characters, int> numbers_;
};

/// The sentences of a text, cut at full stops, each a list of words. A sentence of white space is
/// one empty word.
inline std::vector<std::vector<int>> sentences(std::string_view text, WordNumbers& numbers) {
  std::vector<std::vector<int>> out;
  for (const Characters& part : split_at(characters(text), U'.')) {
    if (part.empty()) continue;
    std::vector<Characters> in = words(part);
    if (in.empty()) in.emplace_back();
    out.push_back(numbers.of(in));
  }
  return out;
}

/// Adds the words of a longest common subsequence. Of several it is the one that, from the end,
/// drops a word of `right` unless dropping one of `left` leaves more in common.
inline void add_common_subsequence(const std::vector<int>& left,
                                   const std::vector<int>& right,
                                   std::set<int>& words) {
  const std::size_t rows = left.size() + 1, columns = right.size() + 1;
  std::vector<std::int32_t> length(rows * columns, 0);
  const auto at = [&](std::size_t i, std::size_t j) -> std::int32_t& {
    return length[i * columns + j];
  };
  for (std::size_t i = 1; i < rows; ++i)
    for (std::size_t j = 1; j < columns; ++j)
      at(i, j) =
          left[i - 1] == right[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
  for (std::size_t i = left.size(), j = right.size(); i > 0 && j > 0;) {
    if (left[i - 1] == right[j - 1]) {
      words.insert(left[i - 1]);
      --i;
      --j;
    } else if (at(i - 1, j) > at(i, j - 1)) {
      --i;
    } else {
      --j;
    }
  }
}

}  // namespace detail

/// Token F1 of question answering (SQuAD, LongBench).
inline double token_f1(std::string_view reply, std::string_view reference) {
  return detail::f1(detail::answer_words(reply), detail::answer_words(reference));
}

/// The same over characters, for Chinese: CJK and ASCII punctuation and white space removed
/// (InfiniteBench).
inline double character_f1(std::string_view reply, std::string_view reference) {
  const auto kept = [](std::string_view text) {
    constexpr std::u32string_view kPunctuation =
        U"！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【"
        U"】〔〕〖〗〘〙〚〛〜〝〞〟"
        U"〰〾〿–—‘’‛“”„‟…‧﹏.";
    std::vector<Characters> out;
    for (const char32_t c : lower(characters(text))) {
      if (!is_space(c) && !is_ascii_punctuation(c) &&
          kPunctuation.find(c) == std::u32string_view::npos)
        out.emplace_back(1, c);
    }
    return out;
  };
  return detail::f1(kept(reply), kept(reference));
}

/// ROUGE-L F at summary level as the Python package `rouge` 1.0.1 computes it: distinct words of
/// the union of every sentence pair's longest common subsequence. 0 where either side is empty.
inline double rouge_l(std::string_view reply, std::string_view reference) {
  detail::WordNumbers numbers;
  const auto ours = detail::sentences(reply, numbers),
             theirs = detail::sentences(reference, numbers);
  if (ours.empty() || theirs.empty()) return 0;
  std::set<int> common, own_words, their_words;
  for (const auto& sentence : theirs) {
    their_words.insert(sentence.begin(), sentence.end());
    for (const auto& own : ours) detail::add_common_subsequence(sentence, own, common);
  }
  for (const auto& sentence : ours) own_words.insert(sentence.begin(), sentence.end());
  const auto shared = static_cast<double>(common.size());
  const double recall = shared / static_cast<double>(their_words.size()),
               precision = shared / static_cast<double>(own_words.size());
  return 2 * (precision * recall / (precision + recall + 1e-8));
}

/// The first line without a backquote, a hash or two slashes against the reference:
/// fuzzywuzzy.fuzz.ratio / 100 over difflib (LongBench's code completion).
inline double edit_similarity(std::string_view reply, std::string_view reference) {
  while (reply.starts_with('\n')) reply.remove_prefix(1);
  Characters line;
  for (const Characters& candidate : split_at(characters(reply), U'\n')) {
    if (contains(candidate, U"`") || contains(candidate, U"#") || contains(candidate, U"//"))
      continue;
    line = candidate;
    break;
  }
  return fuzz_ratio(line, characters(reference)) / 100.0;
}

/// 1 over the number of class names in the reply that are not a proper part of the reference, where
/// the reference is one of them (LongBench's trec).
inline double classification(std::string_view reply,
                             std::string_view reference,
                             std::span<const std::string> classes) {
  std::size_t left = 0;
  bool right = false;
  for (const std::string& name : classes) {
    if (reply.find(name) == std::string_view::npos) continue;
    if (name != reference && reference.find(name) != std::string_view::npos) continue;
    ++left;
    right = right || name == reference;
  }
  return right ? 1 / static_cast<double>(left) : 0;
}

/// The share of the reply's numbers that are this one; 0 where it has none (LongBench's counting).
inline double number_share(std::string_view reply, std::string_view number) {
  const std::vector<Characters> found = numbers(characters(reply));
  if (found.empty()) return 0;
  return static_cast<double>(std::count(found.begin(), found.end(), characters(number))) /
         static_cast<double>(found.size());
}

/// The same with the number that follows `marker` in the reference, "Paragraph " or "段落".
inline double retrieval(std::string_view reply,
                        std::string_view reference,
                        std::string_view marker) {
  for (std::size_t at = reference.find(marker); at != std::string_view::npos;
       at = reference.find(marker, at + 1)) {
    const Characters rest = characters(reference.substr(at + marker.size()));
    if (rest.empty() || !is_digit(rest.front())) continue;
    const std::vector<Characters> found = numbers(characters(reply));
    if (found.empty()) return 0;
    return static_cast<double>(std::count(found.begin(), found.end(), numbers(rest).front())) /
           static_cast<double>(found.size());
  }
  return 0;
}

/// The share of the reference's distinct words that occur in the reply; in lower case, without
/// punctuation at their ends (needle in a haystack).
inline double word_share(std::string_view reply, std::string_view reference) {
  const auto distinct = [](std::string_view text) {
    std::set<Characters> out;
    for (Characters word : words(lower(characters(text)))) {
      while (!word.empty() && is_ascii_punctuation(word.back())) word.pop_back();
      while (!word.empty() && is_ascii_punctuation(word.front())) word.erase(word.begin());
      if (!word.empty()) out.insert(std::move(word));
    }
    return out;
  };
  const std::set<Characters> wanted = distinct(reference), found = distinct(reply);
  if (wanted.empty()) return 0;
  const auto hits = std::count_if(wanted.begin(), wanted.end(),
                                  [&](const Characters& word) { return found.contains(word); });
  return static_cast<double>(hits) / static_cast<double>(wanted.size());
}

/// The share of the references that occur in the reply, whatever their case (RULER).
inline double string_share(std::string_view reply, std::span<const std::string> references) {
  if (references.empty()) return 0;
  const Characters text = lower(characters(reply));
  const auto hits = std::count_if(
      references.begin(), references.end(),
      [&](const std::string& wanted) { return contains(text, lower(characters(wanted))); });
  return static_cast<double>(hits) / static_cast<double>(references.size());
}

}  // namespace promptdistill::examples
