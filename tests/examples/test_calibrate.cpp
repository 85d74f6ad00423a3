// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-calibrate: what it hides, which heads and schedules it finds, what it writes and
// goes on with.

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "examples/calibrate/calibration_prompts.hpp"
#include "examples/calibrate/choice.hpp"
#include "examples/calibrate/head_search.hpp"
#include "examples/calibrate/schedules.hpp"
#include "examples/evaluate/needle_tasks.hpp"
#include "promptdistill/model/checkpoint.hpp"
#include "promptdistill/model/profile.hpp"
#include "tests/examples/shell.hpp"
#include "tests/golden/golden_method.hpp"
#include "tests/io/tiny_lm.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

namespace ex = promptdistill::examples;
using nlohmann::json;

TEST_CASE("ranks count what stands above a token, and nothing for the window's", "[examples]") {
  const at::Tensor scores = at::tensor({0.5F, 0.1F, 0.9F, 0.1F, 0.7F}).view({1, 5});
  const at::Tensor ranks = ex::ranks_of(scores, {1, 7});
  REQUIRE(ranks.sizes() == at::IntArrayRef({1, 6}));
  CHECK(at::equal(ranks[0], at::tensor({3, 0, 3, 1, 0, 0}, at::kLong)));
  CHECK(ex::recall_within(ranks[0], 1) == Approx(3 / 6.0));
  CHECK(ex::recall_within(ranks[0], 2) == Approx(4 / 6.0));
  CHECK(ex::recall_within(ranks[0], 4) == 1);
  const at::Tensor far = at::tensor({0, 63, 64, 128, 2048, 5000}, at::kLong).view({6, 1});
  CHECK(at::allclose(ex::quality_of(far), at::tensor({1.0, 1.0, 1.0, 0.8, 0.0, 0.0})));
}

TEST_CASE("a head's recall is what a stage with it alone keeps", "[examples]") {
  const CausalLm lm = tiny("tiny-llama3rope", at::kFloat);
  std::mt19937_64 random(12);
  const Ids ids = random_ids(random, 120, lm.config.vocab_size);
  const std::vector<ex::TokenRange> needles{{30, 41}, {70, 75}};
  const std::vector<ex::HeadScoring> scorings{{8, 5}, {3, 1}};
  const std::vector<at::Tensor> recall = ex::head_recall(lm, ids, needles, scorings, 40);
  REQUIRE(recall.size() == 2);
  for (std::size_t s = 0; s < 2; ++s) {
    REQUIRE(recall[s].sizes() == at::IntArrayRef({lm.layers(), lm.config.num_attention_heads}));
    for (std::int64_t layer = 0; layer + 1 < lm.layers(); ++layer) {
      for (std::int64_t head = 0; head < lm.config.num_attention_heads; ++head) {
        INFO("window " << scorings[s].window << ", layer " << layer << ", head " << head);
        DistillOptions options;
        options.stages = {{layer, Count{40}}};
        options.scorer = ScorerKind::kWindow;
        options.window = scorings[s].window;
        options.pool = scorings[s].pool;
        options.heads[layer] = {head};
        KvCache cache = lm.make_cache();
        const PrefillResult result =
            lm.prefill(tensor_of(ids), {120}, cache, make_distiller(options));
        int inside = 0;
        for (const std::int64_t at : ids_of(result.stages.front().kept_positions))
          inside += (at >= 30 && at < 41) || (at >= 70 && at < 75);
        CHECK(recall[s][layer][head].item<float>() == Approx(inside / 16.0));
      }
    }
  }
}

TEST_CASE("a head is searched by what a stage with it and a protected end keeps", "[examples]") {
  const CausalLm lm = tiny("tiny-llama3rope", at::kFloat);
  std::mt19937_64 random(13);
  ex::Sample sample;
  sample.ids = random_ids(random, 150, lm.config.vocab_size);
  sample.needles = {{30, 41}};
  const std::vector<std::int64_t> windows{8, 70};
  const ex::PromptScores scores = ex::score_prompt(lm, sample, windows);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    for (std::int64_t head = 0; head < lm.config.num_attention_heads; ++head) {
      INFO("window " << windows[w] << ", head " << head);
      DistillOptions options;
      options.stages = {{2, Count{20}}};
      options.scorer = ScorerKind::kWindow;
      options.window = windows[w];
      options.pool = 15;
      options.heads[2] = {head};
      options.protect_last = ex::kProtectLast;
      KvCache cache = lm.make_cache();
      const PrefillResult result =
          lm.prefill(tensor_of(sample.ids), {150}, cache, make_distiller(options));
      const at::Tensor smooth = ex::smoothed(scores.by_window[w][2], 15, scores.tokens)[head];
      REQUIRE(smooth.numel() == 150 - std::max(windows[w], ex::kProtectLast));
      const Ids kept = ids_of(result.stages.front().kept_positions);
      CHECK(std::ssize(kept) == 20 + 150 - smooth.numel());
      // Scores are kept in bfloat16: what is kept is no lower than what is not, but for rounding.
      float lowest = 1e9F, highest = 0;
      for (std::int64_t t = 0; t < smooth.numel(); ++t) {
        const float score = smooth[t].item<float>();
        const bool stays = std::binary_search(kept.begin(), kept.end(), t);
        lowest = stays ? std::min(lowest, score) : lowest;
        highest = stays ? highest : std::max(highest, score);
      }
      CHECK(lowest > highest * 0.98F);
    }
  }
}

TEST_CASE("voting heads are those that find the needle together", "[examples]") {
  // Head 0 finds its first half, head 3 the second, the others nothing.
  at::manual_seed(5);
  std::vector<at::Tensor> smooth, noise;
  std::vector<ex::TokenRange> needles;
  for (int p = 0; p < 3; ++p) {
    at::Tensor scores = at::rand({5, 3000});
    scores[0].narrow(0, 100 + 7 * p, 4).add_(3);
    scores[3].narrow(0, 104 + 7 * p, 4).add_(3);
    noise.push_back(at::rand({5, 3000}));
    smooth.push_back(scores);
    needles.push_back({100 + 7 * p, 108 + 7 * p});
  }
  const ex::LayerHeads best = ex::best_heads(smooth, needles);
  CHECK(best.heads == std::vector<std::int64_t>{0, 3});
  CHECK(best.quality == Approx(1));
  REQUIRE(best.ranks.size() == 3);
  for (const at::Tensor& ranks : best.ranks) CHECK(ex::recall_within(ranks, 64) == 1);
  CHECK(ex::best_heads(noise, needles).quality < 0.5);
}

TEST_CASE("schedules on paper keep most for their time, each once", "[examples]") {
  const ModelConfig config = ModelConfig::load(golden_dir() / "method" / "tiny-llama3rope");
  ModelConfig deep = config;
  deep.num_hidden_layers = 12;
  std::vector<ex::ScoringResult> results;
  for (const std::int64_t window : {8, 16}) {
    ex::ScoringResult result{{window, 15}, {}};
    for (std::int64_t l = 0; l < 11; ++l) {
      // Layers 3, 6 and 8 see everything with a window of 16, the others little.
      const bool good = window == 16 && (l == 3 || l == 6 || l == 8);
      const at::Tensor ranks = at::full({10}, good ? 0 : 5000, at::kLong);
      result.layers.push_back({{l % 2}, good ? 1.0 : 0.1, {ranks, ranks}});
    }
    results.push_back(std::move(result));
  }
  const std::vector<ex::Candidate> found = ex::candidate_schedules(deep, at::kFloat, 8000, results);
  REQUIRE(found.size() >= 3);
  std::set<std::string> known;
  double before = 0;
  for (const ex::Candidate& candidate : found) {
    CHECK(candidate.speed_up >= before);
    before = candidate.speed_up;
    CHECK(known.insert(to_string(candidate.options.stages)).second);
    CHECK_NOTHROW(make_distiller(candidate.options));
    CHECK(candidate.options.window == 16);
    for (const Stage& stage : candidate.options.stages) {
      CHECK((stage.layer == 3 || stage.layer == 6 || stage.layer == 8));
      CHECK(candidate.options.heads.at(stage.layer) == std::vector<std::int64_t>{stage.layer % 2});
    }
    CHECK(candidate.recall == 1);
  }
}

TEST_CASE("the fastest schedule that loses little becomes the profile, or none does",
          "[examples]") {
  const auto tried = [](double speed_up, double difference, double longest) {
    ex::Tried each;
    each.candidate.speed_up = speed_up;
    each.result.against_full = ex::Interval{difference, difference, difference};
    each.longest = longest;
    return each;
  };
  const std::vector<ex::Tried> some{tried(1.5, 0.01, 0), tried(2, -0.02, -0.02), tried(3, 0, -0.08),
                                    tried(4, -0.05, 0)};
  CHECK(ex::choose(some, 0.5, {0.02, 0}).candidate.speed_up == 2);
  CHECK(ex::choose(some, 0.5, {0, 0}).candidate.speed_up == 1.5);
  CHECK(ex::choose(some, 0.5, {0.05, 0}).candidate.speed_up == 4);
  const std::vector<ex::Tried> poor{tried(2, -0.3, -0.1), tried(3, -0.4, -0.5)};
  CHECK(message_of<std::runtime_error>([&] {
          ex::choose(poor, 0.5, {0.1, 0});
        }).find("30.0") != std::string::npos);
  CHECK(message_of<std::runtime_error>([&] {
          ex::choose(some, 0.05, {1, 0});
        }).find("chat template") != std::string::npos);
  CHECK_THROWS_AS(ex::choose({}, 0.5, {1, 0}), std::runtime_error);

  std::vector<ex::Tried> cut = some;  // as few prompts answered as many, but facts were cut
  cut[1].result.recall = 0.9;
  CHECK(ex::choose(cut, 0.5, {0.02, 0.9}).candidate.speed_up == 2);
  CHECK(ex::choose(cut, 0.5, {0.02, 0.97}).candidate.speed_up == 1.5);
  for (ex::Tried& each : cut) each.result.recall = 0.9;
  CHECK(message_of<std::runtime_error>([&] { ex::choose(cut, 0.5, {}); })
            .find("97.0 % of the facts "
                  "(the best one 90.0)") != std::string::npos);

  // What is measured is of samples that both answered.
  std::vector<ex::ReplyRecord> records;
  const auto add = [&](const char* sample, const char* method, double score, json nll, int length) {
    ex::ReplyRecord record;
    record.sample = sample;
    record.method = method;
    record.score = score;
    record.nll = std::move(nll);
    record.about = {{"length", length}};
    records.push_back(std::move(record));
  };
  add("a", "full", 1, 1.0, 100);
  add("b", "full", 1, nullptr, 200);
  add("a", "x", 1, 1.5, 100);
  add("b", "x", 0, 9.0, 200);
  add("c", "x", 0, 9.0, 200);
  ex::MethodResult result;
  result.method = "x";
  const ex::Tried measured = ex::measured({}, result, records, 200);
  CHECK(measured.nll == Approx(0.5));
  CHECK(measured.longest == -1);
}

TEST_CASE("calibration hides what evaluation never asks", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Tokenizer tokenizer = Tokenizer::load(*model);
  const ChatFormat format = ChatFormat::load(*model);
  const std::vector<std::string> words = ex::whole_words(tokenizer, 49152);
  CHECK(words.size() == 2000);
  ex::FormPlanters planters;
  for (std::size_t form = 0; form < 3; ++form)
    planters[form] = std::make_shared<const ex::PromptPlanter>(
        tokenizer, format,
        tokenizer.encode(ex::synthetic_document(static_cast<ex::FactForm>(form), 1200, words, form),
                         false));
  const ex::Task task = ex::calibration_task(planters, {{500, 700}, 24, 32, 3, 0});
  const ex::Task other = ex::calibration_task(planters, {{500, 700}, 24, 32, 3, 1});
  REQUIRE(task.size == 48);
  std::set<std::string> seen, depths, expected;
  std::set<std::pair<std::size_t, std::size_t>> endings;  // half of the depths, length in bytes
  for (std::size_t i = 0; i < task.size; ++i) {
    const ex::Sample sample = task.make(i), again = task.make(i);
    CHECK(sample.ids == again.ids);
    CHECK(std::ssize(sample.ids) == sample.about.at("length").get<std::int64_t>());
    REQUIRE(sample.needles.size() == 1);
    const ex::TokenRange& at = sample.needles.front();
    const std::string planted = tokenizer.decode(
        ex::Ids(sample.ids.begin() + at.begin, sample.ids.begin() + at.end), false);
    CHECK(planted.find(sample.references.front()) != std::string::npos);
    CHECK(sample.expected.find(sample.references.front()) != std::string::npos);
    CHECK(task.score(sample, sample.expected) == 1);
    CHECK(task.score(sample, "nothing of it") == 0);
    expected.insert(sample.expected);
    if (sample.about.at("form") != "prose") {  // on a line of its own
      CHECK(planted.ends_with("\n"));
      const std::string before = tokenizer.decode(ex::Ids{sample.ids[at.begin - 1]}, false);
      CHECK((before.ends_with("\n") || at.begin < 60));
    }
    seen.insert(sample.about.at("kind").get<std::string>() + sample.about.at("form").dump() +
                sample.about.at("paraphrased").dump());
    endings.insert({i % 24 / 12, sample.about.at("ending").get<std::size_t>()});
    depths.insert(std::to_string(at.begin * 10 / std::ssize(sample.ids)));
  }
  CHECK(seen.size() == 24);  // 4 kinds, 3 forms, 2 wordings
  CHECK(endings.size() == 6);
  // The other half of the facts, in what is asked about and in what is answered.
  std::set<std::string> of_others;
  for (std::size_t i = 0; i < other.size; ++i) of_others.insert(other.make(i).expected);
  const auto said_in = [](const std::set<std::string>& sentences, const char* const words) {
    return std::any_of(sentences.begin(), sentences.end(), [&](const std::string& sentence) {
      return sentence.find(std::string(" ") + words) != std::string::npos;
    });
  };
  std::size_t halves[2] = {0, 0};
  for (const auto& kind : ex::detail::kCalibrationKinds) {
    for (const auto& list : {kind.subjects, kind.answers}) {
      for (const char* const words : list) {
        const bool here = said_in(expected, words), there = said_in(of_others, words);
        CHECK_FALSE((here && there));
        halves[0] += here;
        halves[1] += there;
      }
    }
  }
  CHECK(halves[0] > 30);
  CHECK(halves[1] > 30);
  CHECK(depths.size() >= 7);  // a needle stands everywhere, in lists and code as well
  for (const auto& kind : ex::detail::kCalibrationKinds) {
    for (const auto& other : ex::detail::kFactKinds) {
      CHECK(std::string(kind.name) != other.name);
      CHECK(std::string(kind.question) != other.question);
      for (const char* const answer : kind.answers)
        for (const char* const theirs : other.answers) CHECK(std::string(answer) != theirs);
    }
  }
}

TEST_CASE("calibrate writes a profile that the programs use, and goes on where it was stopped",
          "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  const std::string command = "promptdistill-calibrate " + model->string() +
                              " --lengths 400 --search-prompts 2 --test-prompts 4 --max-loss 100 "
                              "--min-recall 0 --output found.json ";
  const ProgramRun ran = shell(command);
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  CHECK(ran.out.find("chosen: ") != std::string::npos);
  const Profile profile = Profile::load(shell.folder / "found.json");
  CHECK(profile.fingerprint == fingerprint(*model));
  CHECK(profile.longest_prompt == 400);
  CHECK(!profile.options.stages.empty());
  CHECK(profile.options.protect_first == 4);
  CHECK(profile.options.protect_last == 64);
  const json front = profile.evidence.at("front");
  CHECK(front.size() >= 2);  // short prompts leave little to gain
  for (const json& each : front) CHECK(each.at("samples") == 4);

  // Half of what it did is there: the other half is done again and nothing else.
  const std::string results = "found.json.work/results.jsonl",
                    whole = read_bytes(shell.folder / results);
  const std::size_t line_end = whole.find('\n', whole.size() / 2) + 1;
  shell.write(results, whole.substr(0, line_end + 10));
  REQUIRE(shell(command).code == 0);
  const std::string again = read_bytes(shell.folder / results);
  CHECK(again.substr(0, line_end) == whole.substr(0, line_end));
  const auto replies = [](const std::string& lines) {
    std::size_t count = 0;
    for (std::size_t at = lines.find("\"reply\""); at != std::string::npos;
         at = lines.find("\"reply\"", at + 1))
      ++count;
    return count;
  };
  CHECK(replies(again) == replies(whole));
  CHECK(profile.evidence.at("seconds") > 0);
  CHECK(Profile::load(shell.folder / "found.json").evidence.at("front") == front);

  require_message(shell(command + "--seed 2"), 1, "seed");
  require_message(
      shell("promptdistill-calibrate " + model->string() + " --lengths 9000 --output other.json"),
      2, "do not fit the context");
}

}  // namespace
}  // namespace promptdistill::test
