#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One sentence in a long document: the needle grid, its pass-key variant, and facts of several
// kinds.

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/evaluate/metrics.hpp"
#include "examples/evaluate/task.hpp"

namespace promptdistill::examples {

/// A grid of prompts: every length at every depth, `repeats` times with another piece of the
/// document each.
struct NeedleGrid {
  std::vector<std::int64_t> lengths{1024, 2048, 4096, 7700};
  std::int64_t depths = 10, repeats = 1, max_new_tokens = 64;
  std::uint64_t seed = 1;

  std::size_t size() const {
    return lengths.size() * static_cast<std::size_t>(depths) * static_cast<std::size_t>(repeats);
  }

  struct Cell {
    std::int64_t length, repeat;
    double depth;  // 0 to 1, both among them
    std::mt19937_64 random;
  };

  Cell cell(std::size_t index) const {
    const auto depth = static_cast<std::int64_t>(index) % depths,
               rest = static_cast<std::int64_t>(index) / depths;
    const auto length = static_cast<std::size_t>(rest) % lengths.size();
    std::seed_seq sequence{seed, static_cast<std::uint64_t>(index)};
    return {lengths[length], rest / static_cast<std::int64_t>(lengths.size()),
            depths == 1 ? 0.5 : static_cast<double>(depth) / static_cast<double>(depths - 1),
            std::mt19937_64(sequence)};
  }
};

namespace detail {

template <class Values>
const auto& pick(std::mt19937_64& random, const Values& values) {
  return values[random() % values.size()];
}

inline std::int64_t random_start(std::mt19937_64& random,
                                 const PromptPlanter& planter,
                                 std::int64_t length) {
  const std::int64_t slack = std::max<std::int64_t>(planter.document_tokens() - length, 0);
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(slack + 1));
}

/// Sets what all samples of a grid have in common.
inline Sample planted_sample(const NeedleGrid& grid,
                             const NeedleGrid::Cell& cell,
                             std::size_t index,
                             PlantedPrompt prompt) {
  Sample sample;
  sample.id = fmt::format("{}", index);
  sample.ids = std::move(prompt.ids);
  sample.needles = std::move(prompt.needles);
  sample.max_new_tokens = grid.max_new_tokens;
  sample.about = {{"length", cell.length}, {"depth", 100 * cell.depth}, {"repeat", cell.repeat}};
  return sample;
}

}  // namespace detail

/// Needle in a haystack: the share of the answer's words that the reply has.
inline Task needle_task(std::shared_ptr<const PromptPlanter> planter,
                        NeedleGrid grid,
                        std::string needle,
                        std::string question,
                        std::string answer) {
  Task task{"niah", "share of the answer's words", grid.size(), {}, {}};
  task.make = [=](std::size_t index) {
    NeedleGrid::Cell cell = grid.cell(index);
    const std::int64_t start = detail::random_start(cell.random, *planter, cell.length);
    Sample sample = detail::planted_sample(
        grid, cell, index,
        planter->plant(cell.length, start, {{cell.depth, needle}}, question, true));
    sample.references = {answer};
    return sample;
  };
  task.score = [](const Sample& sample, const std::string& reply) {
    return word_share(reply, sample.references.front());
  };
  return task;
}

/// The strict variant: a number of five digits, which the reply must name.
inline Task pass_key_task(std::shared_ptr<const PromptPlanter> planter, NeedleGrid grid) {
  Task task{"passkey", "the number is in the reply", grid.size(), {}, {}};
  task.make = [=](std::size_t index) {
    NeedleGrid::Cell cell = grid.cell(index);
    const std::string key = fmt::format("{}", 10000 + cell.random() % 90000);
    const std::int64_t start = detail::random_start(cell.random, *planter, cell.length);
    Sample sample = detail::planted_sample(
        grid, cell, index,
        planter->plant(cell.length, start,
                       {{cell.depth, fmt::format("The pass key is {0}. Remember it: {0} is the "
                                                 "pass key.",
                                                 key)}},
                       "What is the pass key? Answer with the number only.", true));
    sample.references = {key};
    return sample;
  };
  task.score = [](const Sample& sample, const std::string& reply) {
    return string_share(reply, sample.references);
  };
  return task;
}

namespace detail {

/// A kind of fact: {0} is what is asked about, {1} the answer.
struct FactKind {
  const char* name;
  const char* fact;
  const char* question;
  std::array<const char*, 8> subjects, answers;
};

inline constexpr std::array<FactKind, 8> kFactKinds{{
    {"profession",
     "Before the great flood, {0} worked as a {1}.",
     "As what did {0} work before the great flood?",
     {"Jasper Thorne", "Mabel Ackroyd", "Osric Pell", "Winifred Lamb", "Edmund Sorrel",
      "Tabitha Crane", "Rufus Hale", "Agnes Dunmore"},
     {"blacksmith", "cooper", "tailor", "weaver", "stonemason", "baker", "glassblower",
      "ropemaker"}},
    {"animal",
     "On the coat of arms of {0} stands a {1}.",
     "Which animal stands on the coat of arms of {0}?",
     {"Ellsworth Castle", "Marrow Abbey", "Penrose Hall", "Tarn House", "Quillon Manor",
      "Bracken Priory", "Vellum Court", "Stagmoor Lodge"},
     {"badger", "heron", "salamander", "hedgehog", "walrus", "falcon", "porcupine", "leopard"}},
    {"colour",
     "The ferry to the island of {0} is painted {1}.",
     "In which colour is the ferry to the island of {0} painted?",
     {"Skorpa", "Vessla", "Hirta", "Anholt", "Mingulay", "Utsira", "Gugh", "Lambay"},
     {"orange", "purple", "yellow", "turquoise", "crimson", "silver", "pink", "brown"}},
    {"instrument",
     "In her free time Professor {0} plays the {1}.",
     "Which instrument does Professor {0} play in her free time?",
     {"Adeyemi", "Lindqvist", "Okafor", "Marchetti", "Sorensen", "Halvorsen", "Ibanez", "Takeda"},
     {"cello", "trumpet", "harp", "clarinet", "oboe", "bassoon", "mandolin", "accordion"}},
    {"year",
     "The stone bridge over the river {0} was built in the year {1}.",
     "In which year was the stone bridge over the river {0} built?",
     {"Tamble", "Ouzel", "Wenning", "Lathe", "Corrin", "Speyle", "Dunmar", "Ashwater"},
     {"1847", "1612", "1739", "1896", "1583", "1768", "1921", "1654"}},
    {"ingredient",
     "The secret ingredient of {0}'s famous soup is {1}.",
     "What is the secret ingredient of {0}'s famous soup?",
     {"Aunt Philippa", "Chef Moreau", "Mrs. Castellan", "Brother Anselm", "Uncle Tobias",
      "Madame Rivet", "Old Gretchen", "Captain Harrow"},
     {"fennel", "nutmeg", "cinnamon", "horseradish", "saffron", "caraway", "tamarind", "juniper"}},
    {"material",
     "The statue in front of {0} is made of {1}.",
     "Of which material is the statue in front of {0} made?",
     {"the Merchant Bank", "the Observatory", "the Harbour Office", "the Salt Museum",
      "the Old Mint", "the Botanical Society", "the Signal Tower", "the Tram Depot"},
     {"marble", "bronze", "granite", "sandstone", "ivory", "copper", "concrete", "cedar wood"}},
    {"place",
     "Before she vanished, {0} hid the letters under {1}.",
     "Where did {0} hide the letters before she vanished?",
     {"Miss Ferncastle", "the governess", "Countess Albrecht", "Nurse Pemberly", "the seamstress",
      "Lady Corvina", "the archivist", "Widow Thornquist"},
     {"the cellar stairs", "the garden sundial", "the chapel bell", "the stable floor",
      "the attic window", "the kitchen stove", "the boathouse roof", "the well cover"}},
}};

}  // namespace detail

/// Facts of eight kinds in turn, each about another subject, which the reply must name.
inline Task facts_task(std::shared_ptr<const PromptPlanter> planter, NeedleGrid grid) {
  Task task{"facts", "the answer is in the reply", grid.size(), {}, {}};
  task.make = [=](std::size_t index) {
    NeedleGrid::Cell cell = grid.cell(index);
    // Every length and every depth meets each kind as the other and the repeats go on.
    const auto depths = static_cast<std::size_t>(grid.depths), row = index / depths;
    const detail::FactKind& kind = detail::kFactKinds[(index % depths + row % grid.lengths.size() +
                                                       row / grid.lengths.size()) %
                                                      detail::kFactKinds.size()];
    const char* const subject = detail::pick(cell.random, kind.subjects);
    const char* const answer = detail::pick(cell.random, kind.answers);
    const std::int64_t start = detail::random_start(cell.random, *planter, cell.length);
    Sample sample = detail::planted_sample(
        grid, cell, index,
        planter->plant(cell.length, start,
                       {{cell.depth, fmt::format(fmt::runtime(kind.fact), subject, answer)}},
                       fmt::format(fmt::runtime(kind.question), subject), true));
    sample.about["kind"] = kind.name;
    sample.references = {answer};
    return sample;
  };
  task.score = [](const Sample& sample, const std::string& reply) {
    return string_share(reply, sample.references);
  };
  return task;
}

}  // namespace promptdistill::examples
