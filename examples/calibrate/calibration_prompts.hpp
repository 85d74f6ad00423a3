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
#include <stdexcept>
#include <string>
#include <string_view>
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

/// What follows a question. Users' instructions can be longer than what scores.
inline constexpr std::array<const char*, 3> kCalibrationEndings{
    "", " Be brief.",
    " Use nothing but what is written above, reply with one short sentence, and leave out every "
    "introduction and explanation."};

}  // namespace detail

/// Words that a tokenizer has in one piece: at least four small letters after a space. Throws
/// std::runtime_error where they are too few to make text of.
inline std::vector<std::string> whole_words(const Tokenizer& tokenizer, std::int64_t ids) {
  std::vector<std::string> words;
  for (std::int64_t id = 0; id < ids && words.size() < 2000; ++id) {
    const std::string text = tokenizer.decode(Ids{id}, false);
    const std::string word = text.substr(text.find_first_not_of(' ') == 1 ? 1 : 0);
    if (word.size() >= 4 && word.size() < text.size() &&
        std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
      words.push_back(word);
  }
  if (words.size() < 100)
    throw std::runtime_error(
        fmt::format("the tokenizer has {} whole English words, too few to make text of: give "
                    "--data",
                    words.size()));
  return words;
}

/// Text of about `length` words in a form, made of `words`: what facts are hidden in where no
/// folder of texts is given.
inline std::string synthetic_document(FactForm form,
                                      std::int64_t length,
                                      const std::vector<std::string>& words,
                                      std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto word = [&]() -> const std::string& { return words[random() % words.size()]; };
  std::string text;
  for (std::int64_t written = 0; written < length; written += 9) {
    const std::string &a = word(), &b = word(), &c = word(), &d = word(), &e = word();
    const auto number = random() % 900 + 100;
    switch (form) {
      case FactForm::kProse:
        text += number % 2 == 0
                    ? fmt::format("The {} {} of the {} was {} in {}. ", a, b, c, d, e)
                    : fmt::format("In that year the {} could {} with {} {} or {}. ", a, b, c, d, e);
        break;
      case FactForm::kList:
        text += fmt::format("- {} {}: {} {}, {} {}\n", a, b, number, c, d, e);
        break;
      case FactForm::kCode:
        text += fmt::format("{}_{} = {} * {} + {}  # {}\n", a, b, c, number, d, e);
        break;
    }
  }
  return text;
}

/// The planters that calibration draws from: one per form.
using FormPlanters = std::array<std::shared_ptr<const PromptPlanter>, 3>;

/// Prompts with one fact each: kinds, forms, wordings and endings in turn, each form with both
/// wordings and every kind, depths spread evenly. Another seed draws other subjects, answers and
/// places.
struct CalibrationSet {
  std::vector<std::int64_t> lengths;
  std::int64_t per_length = 12, max_new_tokens = 32;
  std::uint64_t seed = 1;
  std::size_t half = 0;  // of the subjects and answers: 0 or 1
  bool prose = false;    // all documents are

  std::size_t size() const { return lengths.size() * static_cast<std::size_t>(per_length); }
};

/// Samples as a task, whose `expected` is the sentence that answers. Throws what planting throws.
inline Task calibration_task(FormPlanters planters, const CalibrationSet& set) {
  Task task{"calibration", "the answer is in the reply", set.size(), {}, {}};
  task.make = [=](std::size_t index) {
    const auto of_length = static_cast<std::size_t>(set.per_length);
    const std::size_t turn = index + set.seed * 7;
    const std::int64_t length = set.lengths[index / of_length];
    // 24 turns meet six pairs of form and wording with four kinds each, the next 24 the others.
    const auto form = set.prose ? FactForm::kProse : static_cast<FactForm>(turn % 3);
    const bool paraphrased = turn / 3 % 2 == 1;
    const char* const ending = detail::kCalibrationEndings[(turn + turn / 6) % 3];
    const detail::CalibrationKind& kind = detail::kCalibrationKinds[(turn + turn / 24) % 8];
    std::seed_seq sequence{set.seed, static_cast<std::uint64_t>(index)};
    std::mt19937_64 random(sequence);
    const char* const subject = kind.subjects[4 * set.half + random() % 4];
    const char* const answer = kind.answers[4 * set.half + random() % 4];
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
    Needle needle{depth, fmt::format(fmt::runtime(wording), subject, answer)};
    if (form != FactForm::kProse) {  // a line of its own
      needle.before = "";
      needle.after = "\n";
    }
    const std::string question =
        fmt::format(fmt::runtime(paraphrased ? kind.paraphrase : kind.question), subject);
    PlantedPrompt prompt = planter.plant(length, start, {needle}, question + ending, true);
    Sample sample;
    sample.id = fmt::format("{}-{}", set.seed, index);
    sample.ids = std::move(prompt.ids);
    sample.needles = std::move(prompt.needles);
    sample.references = {answer};
    sample.expected = fmt::format(fmt::runtime(kind.prose), subject, answer);
    sample.max_new_tokens = set.max_new_tokens;
    sample.about = {{"length", length},
                    {"depth", 100 * depth},
                    {"kind", kind.name},
                    {"form", form_name(form)},
                    {"paraphrased", paraphrased},
                    {"seed", set.seed},
                    {"ending", std::string_view(ending).size()}};
    return sample;
  };
  task.score = [](const Sample& sample, const std::string& reply) {
    return string_share(reply, sample.references);
  };
  return task;
}

}  // namespace promptdistill::examples
