#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What calibration hides and asks: facts of four kinds in prose, lists and code, worded as the
// question or paraphrased. None of it is in what promptdistill-evaluate asks.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "examples/common/planted_prompt.hpp"
#include "examples/evaluate/metrics.hpp"
#include "examples/evaluate/task.hpp"

namespace promptdistill::examples {

/// How the document around a fact, and the fact itself, is written.
enum class FactForm { kProse, kList, kCode };

inline const char* form_name(FactForm form) {
  return form == FactForm::kProse ? "prose" : form == FactForm::kList ? "list" : "code";
}

namespace detail {

/// A kind of fact: {0} is what is asked about, {1} the answer.
struct CalibrationKind {
  const char* name;
  const char* prose;
  const char* list;
  const char* code;
  const char* question;
  const char* paraphrase;
  std::array<const char*, 8> subjects, answers;
};

inline constexpr std::array<CalibrationKind, 8> kCalibrationKinds{{
    {"number",
     "The night train to {0} leaves from platform {1}.",
     "- night train to {0}: platform {1}",
     "# The night train to {0} leaves from platform {1}.",
     "From which platform does the night train to {0} leave?",
     "I travel to {0} after dark. Where on the station do I have to wait?",
     {"Lisbon", "Tallinn", "Ankara", "Bergen", "Cordoba", "Dresden", "Odessa", "Turin"},
     {"17", "42", "29", "63", "58", "31", "86", "74"}},
    {"number",
     "The library of {0} owns exactly {1} maps.",
     "- library of {0}: {1} maps",
     "# The library of {0} owns exactly {1} maps.",
     "How many maps does the library of {0} own?",
     "What is the size of the map collection in {0}?",
     {"Arlen", "Bexford", "Corwen", "Dunhaven", "Elmsley", "Farrow", "Glaston", "Hexham"},
     {"3417", "9082", "1276", "5539", "8064", "2791", "6348", "4925"}},
    {"name",
     "The captain of the ship {0} is {1}.",
     "- captain of the ship {0}: {1}",
     "# The captain of the ship {0} is {1}.",
     "Who is the captain of the ship {0}?",
     "Who commands {0} at sea?",
     {"Morning Star", "Albatross", "Providence", "Sea Urchin", "Northern Light", "Pelican",
      "Blue Heron", "Endeavour"},
     {"Harriet Boswell", "Tomas Ekberg", "Lucia Ferrante", "Desmond Clay", "Ingrid Vass",
      "Marcus Obi", "Nadia Petrov", "Owen Tanaka"}},
    {"name",
     "The prize for {0} was given to {1}.",
     "- prize for {0}: {1}",
     "# The prize for {0} was given to {1}.",
     "To whom was the prize for {0} given?",
     "Which person won the award for {0}?",
     {"pottery", "archery", "botany", "carving", "juggling", "cheese making", "poetry", "weaving"},
     {"Clara Whitlock", "Amos Reed", "Sofia Lindgren", "Victor Dumas", "Hanna Kowal",
      "Pablo Serrano", "Rosa Winkler", "Elias Nord"}},
    {"sentence",
     "Grandmother {0} always said that {1}.",
     "- Grandmother {0}'s saying: {1}",
     "# Grandmother {0} always said that {1}.",
     "What did Grandmother {0} always say?",
     "Which saying was a favourite of Grandmother {0}?",
     {"Ada", "Bertha", "Celia", "Dora", "Edith", "Flora", "Greta", "Hilda"},
     {"wet boots never dance", "a quiet goose sees the fox", "rain forgets the old roof",
      "salt remembers every river", "the moon pays no rent", "late bread feeds early birds",
      "a borrowed ladder is short", "warm hands make cold tea"}},
    {"sentence",
     "To wake the dragon of {0}, one must {1}.",
     "- waking the dragon of {0}: {1}",
     "# To wake the dragon of {0}, one must {1}.",
     "What must one do to wake the dragon of {0}?",
     "How does a visitor get the dragon of {0} out of its sleep?",
     {"Mount Vell", "Ashgrove", "the Black Lake", "Iron Hill", "Thornwood", "the Salt Cave",
      "Crow Peak", "the Glass Bay"},
     {"ring two bells at noon", "whistle with closed eyes", "burn a green candle",
      "walk backwards three times", "throw honey into the fire", "knock on the oldest oak",
      "sing about the winter", "hide a coin in the snow"}},
    {"key",
     "The access key of {0} is {1}.",
     "- access key of {0}: {1}",
     "{0} = connect(access_key=\"{1}\")",
     "What is the access key of {0}?",
     "I want to log in to {0}. What do I have to enter?",
     {"server_delta", "printer_nine", "backup_tower", "mail_gateway", "lab_freezer", "roof_camera",
      "stage_lights", "dock_sensor"},
     {"kf83-zz", "pq17-mx", "rt55-ob", "hw90-ye", "vn26-cu", "jd41-sa", "gl78-ti", "xb62-ek"}},
    {"key",
     "The parcel for {0} has the label {1}.",
     "- parcel for {0}: label {1}",
     "# The parcel for {0} has the label {1}.",
     "Which label does the parcel for {0} have?",
     "How do I recognise what was sent to {0}?",
     {"Doctor Amsel", "the bakery", "the night school", "Inspector Roe", "the puppet theatre",
      "Judge Hollis", "the fire station", "the tea house"},
     {"TANGO-RED", "LIMA-BLUE", "ECHO-GOLD", "NOVA-PINK", "OSCAR-JADE", "KILO-GREY", "ZULU-TEAL",
      "DELTA-RUST"}},
}};

inline constexpr std::array<const char*, 16> kNouns{
    "river",  "market",  "engine",  "garden", "letter",  "window",  "harvest",  "captain",
    "valley", "lantern", "meeting", "winter", "machine", "village", "painting", "journey"};
inline constexpr std::array<const char*, 16> kAdjectives{
    "quiet", "narrow", "heavy",   "early",  "golden", "broken", "distant", "careful",
    "open",  "public", "ancient", "simple", "bright", "common", "silent",  "modern"};
inline constexpr std::array<const char*, 16> kVerbs{
    "followed",  "described", "reached", "carried",   "watched", "repaired",
    "crossed",   "measured",  "ignored", "praised",   "visited", "painted",
    "collected", "changed",   "opened",  "remembered"};

}  // namespace detail

/// Text of about `words` words in a form, made from a small vocabulary: what facts are hidden in
/// where no folder of texts is given.
inline std::string synthetic_document(FactForm form, std::int64_t words, std::uint64_t seed) {
  using namespace detail;
  std::mt19937_64 random(seed);
  const auto of = [&](const auto& list) { return list[random() % list.size()]; };
  std::string text;
  for (std::int64_t written = 0; written < words;) {
    const char *a = of(kAdjectives), *b = of(kAdjectives), *n = of(kNouns), *m = of(kNouns),
               *v = of(kVerbs);
    switch (form) {
      case FactForm::kProse:
        text += random() % 2 == 0
                    ? fmt::format("The {} {} {} the {} {}. ", a, n, v, b, m)
                    : fmt::format("In that year nobody {} the {} near the {} {}. ", v, n, b, m);
        written += 9;
        break;
      case FactForm::kList:
        text +=
            fmt::format("- {} {}: {} {}, {} {}\n", a, n, random() % 900 + 100, m, b, of(kNouns));
        written += 8;
        break;
      case FactForm::kCode:
        text += fmt::format("def {}_{}({}, {}):\n    return {} * {} + {}\n", v, n, a, m, a,
                            random() % 90 + 10, m);
        written += 12;
        break;
    }
  }
  return text;
}

/// The planters that calibration draws from: one per form.
using FormPlanters = std::array<std::shared_ptr<const PromptPlanter>, 3>;

/// Prompts with one fact each. Every length meets every kind, form and wording in turn; another
/// seed draws other subjects, answers, depths and places in the documents.
struct CalibrationSet {
  std::vector<std::int64_t> lengths;
  std::int64_t per_length = 12, max_new_tokens = 32;
  std::uint64_t seed = 1;

  std::size_t size() const { return lengths.size() * static_cast<std::size_t>(per_length); }
};

/// Samples as a task, whose `expected` is the sentence that answers. Throws what planting throws.
inline Task calibration_task(FormPlanters planters, const CalibrationSet& set) {
  Task task{"calibration", "the answer is in the reply", set.size(), {}, {}};
  task.make = [=](std::size_t index) {
    const auto of_length = static_cast<std::size_t>(set.per_length);
    const std::size_t turn = index % of_length + set.seed * 5;
    const std::int64_t length = set.lengths[index / of_length];
    const auto form = static_cast<FactForm>(turn % 3);
    const detail::CalibrationKind& kind = detail::kCalibrationKinds[turn % 8];
    const bool paraphrased = turn / 2 % 3 == 0;
    std::seed_seq sequence{set.seed, static_cast<std::uint64_t>(index)};
    std::mt19937_64 random(sequence);
    const char* const subject = kind.subjects[random() % 8];
    const char* const answer = kind.answers[random() % 8];
    // Depths are spread over the prompts of a length, not drawn: few prompts cover all of them.
    const double depth = (static_cast<double>(index % of_length) +
                          std::uniform_real_distribution<double>(0, 1)(random)) /
                         static_cast<double>(of_length);
    const PromptPlanter& planter = *planters[static_cast<std::size_t>(form)];
    const std::int64_t slack = std::max<std::int64_t>(planter.document_tokens() - length, 0);
    const auto start = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(slack + 1));
    const char* const wording = form == FactForm::kProse  ? kind.prose
                                : form == FactForm::kList ? kind.list
                                                          : kind.code;
    PlantedPrompt prompt = planter.plant(
        length, start, {{depth, fmt::format(fmt::runtime(wording), subject, answer)}},
        fmt::format(fmt::runtime(paraphrased ? kind.paraphrase : kind.question), subject), true);
    Sample sample;
    sample.id = fmt::format("{}-{}", set.seed, index);
    sample.ids = std::move(prompt.ids);
    sample.needles = std::move(prompt.needles);
    sample.references = {answer};
    sample.expected = fmt::format(fmt::runtime(kind.prose), subject, answer);
    sample.max_new_tokens = set.max_new_tokens;
    sample.about = {{"length", length},        {"depth", 100 * depth},       {"kind", kind.name},
                    {"form", form_name(form)}, {"paraphrased", paraphrased}, {"seed", set.seed}};
    return sample;
  };
  task.score = [](const Sample& sample, const std::string& reply) {
    return string_share(reply, sample.references);
  };
  return task;
}

}  // namespace promptdistill::examples
