#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Synthetic tasks after RULER (arXiv 2404.06654): needles with distractors, chains of assignments,
// common and frequent words.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/common/program.hpp"
#include "examples/evaluate/metrics.hpp"
#include "examples/evaluate/needle_tasks.hpp"
#include "examples/evaluate/task.hpp"

namespace promptdistill::examples {

namespace detail {

/// Words that are made, so that none is in the document: two or three syllables.
inline std::string made_word(std::mt19937_64& random) {
  constexpr std::array<const char*, 16> kOnsets{"b", "d", "f", "g", "k", "l", "m",  "n",
                                                "p", "r", "s", "t", "v", "z", "br", "st"};
  constexpr std::array<const char*, 10> kRimes{"a",  "e",  "i",  "o",  "u",
                                               "an", "el", "or", "im", "us"};
  std::string word;
  const std::uint64_t syllables = 2 + random() % 2;
  for (std::uint64_t i = 0; i < syllables; ++i)
    word += std::string(pick(random, kOnsets)) + pick(random, kRimes);
  return word;
}

/// So many different words.
inline std::vector<std::string> made_words(std::mt19937_64& random, std::size_t count) {
  std::vector<std::string> words;
  while (words.size() < count) {
    std::string word = made_word(random);
    if (std::find(words.begin(), words.end(), word) == words.end())
      words.push_back(std::move(word));
  }
  return words;
}

inline std::string number_of(std::mt19937_64& random) {
  return fmt::format("{}", 1000000 + random() % 9000000);
}

inline std::string joined(const std::vector<std::string>& parts, std::string_view last = " and ") {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i)
    out += (i == 0 ? "" : i + 1 == parts.size() ? std::string(last) : ", ") + parts[i];
  return out;
}

/// What a task plants, asks and expects.
struct RulerPrompt {
  std::vector<Needle> needles;
  std::string question;
  std::vector<std::string> answers;
  std::vector<std::size_t> wanted;  // needles that the answer needs
};

inline Needle magic_number(const std::string& key, const std::string& number, double depth) {
  return {depth, fmt::format("One of the magic numbers for {} is {}.", key, number)};
}

/// `keys` words with `values` numbers each, of which the first `asked` are asked for.
inline RulerPrompt magic_numbers(NeedleGrid::Cell& cell,
                                 std::size_t keys,
                                 std::size_t values,
                                 std::size_t asked) {
  RulerPrompt prompt;
  std::uniform_real_distribution<double> anywhere(0, 1);
  const std::vector<std::string> words = made_words(cell.random, keys);
  for (std::size_t k = 0; k < keys; ++k) {
    for (std::size_t v = 0; v < values; ++v) {
      const std::string number = number_of(cell.random);
      // The first one stands at the cell's depth, the others anywhere.
      const double depth = k == 0 && v == 0 ? cell.depth : anywhere(cell.random);
      if (k < asked) {
        prompt.wanted.push_back(prompt.needles.size());
        prompt.answers.push_back(number);
      }
      prompt.needles.push_back(magic_number(words[k], number, depth));
    }
  }
  const std::vector<std::string> about(words.begin(),
                                       words.begin() + static_cast<std::ptrdiff_t>(asked));
  prompt.question =
      prompt.answers.size() == 1
          ? fmt::format("What is the magic number for {} in the text? Answer with the number only.",
                        about.front())
          : fmt::format(
                "What are all the magic numbers for {} in the text? Answer with the "
                "numbers only.",
                joined(about));
  return prompt;
}

/// A chain of assignments, each a needle; all names of it have the number.
inline RulerPrompt variable_tracking(NeedleGrid::Cell& cell, std::size_t hops) {
  RulerPrompt prompt;
  const auto name = [&] {
    std::string text;
    for (int i = 0; i < 5; ++i) text += static_cast<char>('A' + cell.random() % 26);
    return text;
  };
  const std::string number = fmt::format("{}", 10000 + cell.random() % 90000);
  for (std::size_t i = 0; i <= hops; ++i) {
    const std::string value = i == 0 ? number : "VAR " + prompt.answers.back();
    prompt.answers.push_back(name());
    prompt.wanted.push_back(i);
    prompt.needles.push_back({(static_cast<double>(i) + 0.5) / static_cast<double>(hops + 1),
                              fmt::format("VAR {} = {}.", prompt.answers.back(), value)});
  }
  prompt.question = fmt::format(
      "Find all variables that are assigned the value {} in the text above, directly or through "
      "other variables. Answer with their names only.",
      number);
  return prompt;
}

/// A numbered list of words in which ten occur again and again and the others once. Wherever it is
/// cut, each of the ten has occurred as often as the others, give or take one.
inline std::string common_words(std::mt19937_64& random,
                                std::int64_t words,
                                std::vector<std::string>& common) {
  common = made_words(random, 10);
  std::string text;
  for (std::int64_t count = 0; count < words;) {
    std::vector<std::string> block = common;
    for (int i = 0; i < 20; ++i) {
      std::string word = made_word(random);
      if (std::find(common.begin(), common.end(), word) == common.end())
        block.push_back(std::move(word));
    }
    std::shuffle(block.begin(), block.end(), random);
    for (const std::string& word : block) text += fmt::format("{}. {} ", ++count, word);
  }
  return text;
}

/// Made words as often as a Zipf distribution with exponent 2 has them, but for the most frequent,
/// which is noise: the next three are asked for. Blocks hold each word's share of that many words,
/// so that wherever the text is cut the three are the most frequent ones.
inline std::string frequent_words(std::mt19937_64& random,
                                  std::int64_t words,
                                  std::vector<std::string>& frequent) {
  constexpr double kBlock = 90;  // words, of which the 1st to 4th have 55, 13, 6 and 3
  const std::vector<std::string> all = made_words(random, 200);
  frequent.assign(all.begin() + 1, all.begin() + 4);
  double sum = 0;
  for (std::size_t rank = 1; rank <= all.size(); ++rank)
    sum += 1 / (static_cast<double>(rank) * static_cast<double>(rank));
  std::string text;
  std::size_t rare = 4;
  for (std::int64_t written = 0; written < words;) {
    std::vector<std::size_t> block;
    for (std::size_t rank = 0; rank < 4; ++rank) {
      const auto place = static_cast<double>(rank + 1);
      block.insert(block.end(), static_cast<std::size_t>(kBlock / sum / (place * place)), rank);
    }
    // The others in turn, each at most once in a block.
    while (block.size() < static_cast<std::size_t>(kBlock)) {
      block.push_back(rare);
      rare = rare + 1 < all.size() ? rare + 1 : 4;
    }
    std::shuffle(block.begin(), block.end(), random);
    for (const std::size_t rank : block) text += rank == 0 ? "... " : all[rank] + " ";
    written += std::ssize(block);
  }
  return text;
}

}  // namespace detail

/// Names of RULER-style tasks, after "ruler:".
inline constexpr std::array<const char*, 7> kRulerTasks{
    "single", "multikey", "multivalue", "multiquery", "vt", "cwe", "fwe"};

/// A RULER-style task by its name. The share of the expected strings that the reply has. `planter`
/// holds the document of the needle tasks; lists of words are built by `planter_of`, from a
/// document of their own. Throws UsageError on another name.
inline Task ruler_task(
    const std::string& name,
    std::shared_ptr<const PromptPlanter> planter,
    const std::function<std::shared_ptr<const PromptPlanter>(const std::string&)>& planter_of,
    NeedleGrid grid) {
  if (std::find(kRulerTasks.begin(), kRulerTasks.end(), name) == kRulerTasks.end()) {
    throw UsageError("ruler:" + name +
                     " is not a task, those are single, multikey, multivalue, multiquery, vt, cwe "
                     "and fwe");
  }
  Task task{"ruler:" + name, "share of the answers in the reply", grid.size(), {}, {}};
  task.score = [](const Sample& sample, const std::string& reply) {
    return string_share(reply, sample.references);
  };
  if (name == "cwe" || name == "fwe") {
    task.make = [=](std::size_t index) {
      NeedleGrid::Cell cell = grid.cell(index);
      std::vector<std::string> answers;
      const bool common = name == "cwe";
      // More words than fit: the planter takes what the length asks for.
      const std::string text = common ? detail::common_words(cell.random, cell.length, answers)
                                      : detail::frequent_words(cell.random, cell.length, answers);
      const std::string question =
          common ? "What are the 10 most common words in the list above? Answer with the words "
                   "only."
                 : "What are the three most frequent words in the text above, apart from the dots? "
                   "Answer with the words only.";
      Sample sample = detail::planted_sample(grid, cell, index,
                                             planter_of(text)->plant(cell.length, 0, {}, question));
      sample.references = std::move(answers);
      return sample;
    };
    return task;
  }
  task.make = [=](std::size_t index) {
    NeedleGrid::Cell cell = grid.cell(index);
    detail::RulerPrompt prompt = name == "single"       ? detail::magic_numbers(cell, 1, 1, 1)
                                 : name == "multikey"   ? detail::magic_numbers(cell, 4, 1, 1)
                                 : name == "multivalue" ? detail::magic_numbers(cell, 1, 4, 1)
                                 : name == "multiquery" ? detail::magic_numbers(cell, 4, 1, 4)
                                                        : detail::variable_tracking(cell, 4);
    const std::int64_t start = detail::random_start(cell.random, *planter, cell.length);
    PlantedPrompt planted =
        planter->plant(cell.length, start, prompt.needles, prompt.question, true);
    std::vector<TokenRange> wanted;
    for (const std::size_t needle : prompt.wanted) wanted.push_back(planted.needles[needle]);
    planted.needles = std::move(wanted);
    Sample sample = detail::planted_sample(grid, cell, index, std::move(planted));
    sample.references = std::move(prompt.answers);
    return sample;
  };
  return task;
}

}  // namespace promptdistill::examples
