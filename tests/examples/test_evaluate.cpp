// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-evaluate: what it runs, keeps, goes on with and refuses; tasks, sweeps and
// intervals.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "examples/common/selection_signals.hpp"
#include "examples/evaluate/aggregate.hpp"
#include "examples/evaluate/file_tasks.hpp"
#include "examples/evaluate/needle_tasks.hpp"
#include "examples/evaluate/noted_probes.hpp"
#include "examples/evaluate/reply_batch.hpp"
#include "examples/evaluate/report.hpp"
#include "examples/evaluate/ruler_tasks.hpp"
#include "examples/evaluate/score_strips.hpp"
#include "examples/evaluate/sweep.hpp"
#include "promptdistill/baseline/h2o.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/baseline/streaming_llm.hpp"
#include "tests/examples/shell.hpp"
#include "tests/io/tiny_lm.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

namespace ex = promptdistill::examples;
using nlohmann::json;

std::map<std::string, json> replies_of(const Shell& shell, const std::string& folder) {
  std::istringstream text(read_bytes(shell.folder / (folder + "/results.jsonl")));
  std::map<std::string, json> replies;
  for (std::string line; std::getline(text, line);) {
    const json record = json::parse(line);
    if (record.contains("header")) continue;
    replies[record.at("sample").get<std::string>() + " " + record.at("method").get<std::string>()] =
        record;
  }
  return replies;
}

TEST_CASE("evaluate shares layers without changing a reply, and goes on where it was stopped",
          "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  json profile =
      json::parse(read_bytes(PROMPTDISTILL_PROFILES "/smollm2-135m-instruct-calibrated.json"));
  profile["stages"] = "7:200,17:100,23:50";  // for short prompts
  shell.write("profile.json", profile.dump());
  const std::string command =
      "promptdistill-evaluate " + model->string() +
      " --task facts --lengths 300,400 --depths 2 --max-new-tokens 6 --dtype float32 "
      "--profile profile.json --method snapkv:capacity=96 "
      "--method h2o:heavy=40,recent=24 --method streamingllm:recent=60 "
      "--method fastkv:layer=15,rate=0.3,capacity=64 --method gemfilter:layer=13,tokens=64 "
      "--method gemfilter-improved:layer=13,tokens=64 --sweep layer=14,20 "
      "budget=32,64 "
      "--against snapkv:capacity=96 ";
  const ProgramRun shared = shell(command + "--out shared"),
                   alone = shell(command + "--alone --out alone");
  INFO(shared.err << alone.err);
  REQUIRE(shared.code == 0);
  REQUIRE(alone.code == 0);
  auto replies = replies_of(shell, "shared"), others = replies_of(shell, "alone");
  REQUIRE(replies.size() == 4 * 12);
  REQUIRE(others.size() == replies.size());
  for (const auto& [key, record] : replies) {
    INFO(key);
    const json& other = others.at(key);
    for (const char* field :
         {"prompt", "reply", "score", "kept", "recall", "tokens", "cache_bytes"})
      CHECK(record.at(field) == other.at(field));
    CHECK(record.at("prefill").get<double>() > 0);
    CHECK_FALSE(other.at("shared").get<bool>());
    CHECK(record.at("shared").get<bool>());
  }
  for (const auto& [key, record] : replies) {
    if (record.at("method").get<std::string>().starts_with("snapkv")) {
      CHECK(record.at("kept").get<double>() == Approx(96 / record.at("tokens").get<double>()));
      CHECK(record.at("recall").is_null());
    }
  }
  const json summary = shell.read("shared/summary.json");
  REQUIRE(summary.at("results").size() == 12);
  CHECK(summary.at("results")[0].at("method") == "full");
  CHECK(summary.at("results")[0].at("against_full").is_null());
  CHECK(summary.at("results")[1].at("samples") == 4);
  CHECK(summary.at("results")[1].at("kept_share") < 1);
  CHECK_THAT(shared.out, Catch::Matchers::Contains("less full"));
  CHECK_THAT(shared.out, Catch::Matchers::Contains("less snapkv:capacity=96 (95 %)"));
  double less = 0;
  for (const auto& [key, record] : replies) {
    const std::string method = record.at("method");
    const double score = record.at("score");
    less += method == "full" ? score / 4 : method == "snapkv:capacity=96" ? -score / 4 : 0;
  }
  CHECK(summary.at("results")[0].at("against").at("snapkv:capacity=96").at("mean").get<double>() ==
        Approx(less).margin(1e-9));

  // A crash in the middle of a line.
  const std::string whole = read_bytes(shell.folder / "shared/results.jsonl");
  std::size_t cut = 0;
  for (int line = 0; line < 12; ++line) cut = whole.find('\n', cut) + 1;
  shell.write("shared/results.jsonl", whole.substr(0, cut + 20));
  REQUIRE(shell(command + "--out shared").code == 0);
  const std::string again = read_bytes(shell.folder / "shared/results.jsonl");
  CHECK(again.substr(0, cut) == whole.substr(0, cut));
  for (const auto& [key, record] : replies_of(shell, "shared"))
    CHECK(record.at("reply") == replies.at(key).at("reply"));
  CHECK(replies_of(shell, "shared").size() == replies.size());
  // Two parts, put together.
  REQUIRE(shell(command + "--part 1/2 --out one").code == 0);
  REQUIRE(shell(command + "--part 2/2 --out two").code == 0);
  CHECK(replies_of(shell, "one").size() == replies.size() / 2);
  std::filesystem::create_directory(shell.folder / "both");
  const std::string parts = read_bytes(shell.folder / "one/results.jsonl") +
                            read_bytes(shell.folder / "two/results.jsonl");
  shell.write("both/results.jsonl", parts);
  REQUIRE(shell(command + "--out both").code == 0);
  CHECK(read_bytes(shell.folder / "both/results.jsonl") == parts);
  const json both = shell.read("both/summary.json").at("results");
  for (std::size_t m = 0; m < both.size(); ++m)
    CHECK(both[m].at("score") == summary.at("results")[m].at("score"));
  for (const char* part : {"0/2", "3/2", "2", "1/2/3", "/2", "1/"})
    require_message(shell(command + "--out none --part " + part), 2, "--part: must be I/N");
  require_message(shell(command + "--out none --part 5/5"), 2, "the task has 4 samples");
  require_message(shell(command + "--seed 2 --out shared"), 1, "settings/seed was 1 and is 2");
  std::string other;
  for (int i = 0; i < 100; ++i) other += "Some other words stand here. ";
  std::filesystem::create_directory(shell.folder / "texts");
  shell.write("texts/one.txt", other);
  require_message(shell(command + "--out shared --data texts"), 1, "a reply to another prompt");
}

TEST_CASE("evaluate reads LongBench's files and refuses what is not the benchmark's",
          "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  shell.write("dataset2prompt.json",
              R"({"trec": "Type?\n{context}\n{input}", "qasper": "{context} {missing} {input}",
                  "dureader": "x"})");
  shell.write("dataset2maxlen.json", R"({"trec": 3, "qasper": 0, "dureader": 3})");
  shell.write("trec.jsonl",
              R"({"input": "Q: Who?", "context": "Q: Where? Type: Place", "answers": ["Person"],)"
              R"( "all_classes": ["Person", "Place"], "_id": "a1"})"
              "\n\n");
  const std::string command = "promptdistill-evaluate " + model->string() + " --data . --out out ";
  const ProgramRun ran = shell(command + "--task longbench:trec");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json record = replies_of(shell, "out").at("a1 full");
  CHECK(record.at("recall").is_null());
  CHECK(record.at("decoded") <= 3);
  require_message(shell(command + "--task longbench:dureader"), 2, "segmented Chinese words");
  require_message(shell(command + "--task longbench:nothing"), 2, "not a task of LongBench");
  require_message(shell(command + "--task longbench:qasper"), 1, "must be a number of tokens");
  shell.write("trec.jsonl", R"({"input": "Q", "context": 3})");
  require_message(shell(command + "--task longbench:trec"), 1, "answers");
  shell.write("trec.jsonl", "{\"input\": \"Q\"\n");
  require_message(shell(command + "--task longbench:trec"), 1, "line 1");
  shell.write("trec.jsonl", "\n");
  require_message(shell(command + "--task longbench:trec"), 1, "at least one sample");
  require_message(shell("promptdistill-evaluate " + model->string() + " --task sums --out out"), 2,
                  "none that --help lists");
  require_message(
      shell("promptdistill-evaluate " + model->string() + " --task ruler:sums --out out"), 2,
      "not a task");
}

TEST_CASE("each of LongBench's tasks is scored by the benchmark's rule for it", "[examples]") {
  const Shell shell;
  struct Rule {
    std::vector<const char*> tasks;
    const char* metric;
    const char* reply;
    json answers;
    double score;
  };
  const std::vector<Rule> rules{
      {{"narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique"},
       "token F1",
       "\nthe red fox\nruns away",
       {"a red fox", "no one"},
       2 * 0.5 / 1.5},  // two of four words, the answer's two
      {{"triviaqa"}, "token F1", "\nthe red fox\nruns away", {"a red fox"}, 1},
      {{"gov_report", "qmsum", "multi_news"},
       "ROUGE-L",
       "one two three\nfour",
       {"one three"},
       2 / 3.0},
      {{"samsum"}, "ROUGE-L", "\none two three\nfour", {"one three"}, 0.8},
      {{"passage_count"}, "share of numbers", "3, no, 4", {"4"}, 0.5},
      {{"passage_retrieval_en"}, "share of numbers", "Paragraph 7 or 12", {"Paragraph 12"}, 0.5},
      {{"passage_retrieval_zh"}, "share of numbers", "段落7", {"段落7"}, 1},
      {{"lcc", "repobench-p"}, "edit similarity", "// x\nreturn a;\n}", {"return a;"}, 1},
      {{"trec", "lsht"}, "class", "\nPlace\nPerson", {"Place"}, 1},
  };
  json prompts, lengths;
  for (const Rule& rule : rules) {
    for (const char* task : rule.tasks) {
      prompts[task] = "{context} {input}";
      lengths[task] = 4;
      const json line{{"context", "a"},
                      {"input", "b"},
                      {"answers", rule.answers},
                      {"all_classes", {"Place", "Person"}}};
      shell.write(std::string(task) + ".jsonl", line.dump() + "\n");
    }
  }
  shell.write("dataset2prompt.json", prompts.dump());
  shell.write("dataset2maxlen.json", lengths.dump());
  for (const Rule& rule : rules) {
    for (const char* name : rule.tasks) {
      INFO(name);
      const ex::Task task = ex::longbench_task(name, {shell.folder.path(), nullptr, 100, {}});
      CHECK(task.metric == rule.metric);
      ex::Sample sample;
      sample.about["classes"] = {"Place", "Person"};
      sample.references = rule.answers.get<std::vector<std::string>>();
      CHECK(task.score(sample, rule.reply) == Approx(rule.score));
    }
  }
}

TEST_CASE("evaluate asks InfiniteBench's questions in its own words", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const TempDir folder;
  folder.write("tasks.json", R"({
    "code_run": {"prompt": "{func}|{context}|{func_call}", "max_new_tokens": 5, "file": "r.jsonl"},
    "math_find": {"prompt": "{prefix}|{context}|{input}", "max_new_tokens": 3, "file": "m.jsonl"},
    "longbook_choice_eng": {"prompt": "{question}|{OPTION_A}|{OPTION_D}", "max_new_tokens": 4,
                            "file": "c.jsonl"},
    "passkey": {"prompt": "{context} {braces}", "max_new_tokens": 0, "file": "r.jsonl"},
    "kv_retrieval": {"prompt": "x", "max_new_tokens": 2, "file": "absent.jsonl"}})");
  const auto write = [&](const char* name, const json& line) {
    folder.write(name, line.dump() + "\n");
  };
  write(
      "r.jsonl",
      {{"id", 7}, {"context", "def func_2(x)"}, {"input", "Run func_2(-3) now"}, {"answer", {12}}});
  write("m.jsonl",
        {{"context", "[1, 2]"}, {"input", "The Second Largest number of it?"}, {"answer", 2}});
  write("c.jsonl", {{"context", ""},
                    {"input", "Who?"},
                    {"answer", {"Ann"}},
                    {"options", {"Bob", "Ann", "Cy", "Di"}}});
  const auto tokenizer = std::make_shared<const Tokenizer>(Tokenizer::load(*model));
  const ex::FileTaskSettings settings{folder.path(), tokenizer, 200};
  const auto asked = [&](const char* name) {
    return tokenizer->decode(ex::infbench_task(name, settings).make(0).ids, false);
  };
  CHECK(asked("code_run") == "func_2|def func_2(x)|func_2(-3)");
  CHECK(asked("math_find") ==
        "What is the second largest number in the following list?|[1, 2]|The Second Largest number "
        "of it?");
  CHECK(asked("longbook_choice_eng") == "Who?|Bob|Di");
  const ex::Task run = ex::infbench_task("code_run", settings);
  CHECK(run.make(0).id == "7");
  CHECK(run.score(run.make(0), "It is 12.") == 1);
  CHECK(run.score(run.make(0), "It is 13.") == 0);
  const ex::Task choice = ex::infbench_task("longbook_choice_eng", settings);
  CHECK(choice.make(0).references == std::vector<std::string>{"Ann", "B"});
  CHECK(choice.score(choice.make(0), "B") == 1);
  CHECK_THROWS_AS(ex::infbench_task("math_calc", settings), ex::UsageError);
  CHECK_THROWS_AS(ex::infbench_task("passkey", settings), LoadError);
  CHECK_THROWS_AS(ex::infbench_task("kv_retrieval", settings), LoadError);
  CHECK_THROWS_AS(ex::infbench_task("number_string", settings), LoadError);
  // Too long: both ends stay.
  std::string words;
  for (int i = 0; i < 400; ++i) words += "word" + std::to_string(i) + " ";
  write("m.jsonl", {{"context", words}, {"input", "The last of it"}, {"answer", 2}});
  const ex::Sample cut = ex::infbench_task("math_find", settings).make(0);
  CHECK(cut.ids.size() == 197);
  CHECK_THAT(tokenizer->decode(cut.ids, false), Catch::Matchers::StartsWith("What is the last") &&
                                                    Catch::Matchers::EndsWith("The last of it"));
}

TEST_CASE("a sweep is every combination that matters", "[examples]") {
  const ex::SweepAxis range = ex::parse_axis("layer=8:14:3");
  CHECK(range.values == std::vector<std::string>{"8", "11", "14"});
  CHECK(ex::parse_axis("budget=64,25%").values == std::vector<std::string>{"64", "25%"});
  for (const char* text : {"layer", "layer=", "=3", "layer=1,,2", "layer=3:1", "layer=1:9:0",
                           "layer=a:b", "layer=1:2:3:4", "layer=0:9999999"})
    CHECK_THROWS_AS(ex::parse_axis(text), ex::UsageError);
  const auto texts = [](const std::vector<ex::SweepAxis>& axes) {
    std::vector<std::string> out;
    for (const ex::Method& method : ex::sweep({}, axes)) out.push_back(method.name);
    return out;
  };
  CHECK(texts({{"layer", {"2", "3"}}, {"budget", {"8", "50%"}}, {"window", {"1", "4"}}}).size() ==
        8);
  CHECK(
      texts({{"layer", {"2"}}, {"pool", {"5", "3", "5"}}}) ==
      std::vector<std::string>{"promptdistill:stages=2:512", "promptdistill:stages=2:512,pool=3"});
  CHECK_THROWS_AS(ex::sweep({}, {{"depth", {"2"}}}), ex::UsageError);
  CHECK_THROWS_AS(ex::sweep({}, {{"pool", {"3"}}}), ex::UsageError);  // no stage
  CHECK_THROWS_AS(ex::sweep({}, {{"layer", {"2"}}, {"pool", {"4"}}}), ex::UsageError);
  CHECK_THROWS_AS(ex::sweep({}, {{"layer", {"x"}}}), ex::UsageError);
}

TEST_CASE("intervals hold the mean and shrink with samples", "[examples]") {
  std::vector<double> few, many;
  for (int i = 0; i < 400; ++i) (i < 20 ? few : many).push_back(i % 4 == 0 ? 1 : 0);
  const ex::Interval wide = ex::bootstrap(few), narrow = ex::bootstrap(many);
  CHECK(wide.mean == Approx(0.25));
  CHECK(wide.low < 0.25);
  CHECK(wide.high > 0.25);
  // A binomial share's interval, 1.96 sqrt(p (1 - p) / n).
  CHECK(narrow.high - narrow.low == Approx(2 * 1.96 * std::sqrt(0.25 * 0.75 / 380)).epsilon(0.1));
  CHECK(ex::bootstrap({0.5}).low == 0.5);
  CHECK(ex::bootstrap(few).low == wide.low);  // seeded

  std::vector<ex::ReplyRecord> records;
  for (int i = 0; i < 40; ++i) {
    for (const char* method : {"full", "other"}) {
      ex::ReplyRecord record;
      record.sample = std::to_string(i);
      record.method = method;
      const bool full = record.method == "full";
      record.score = full ? i % 2 : (i % 2 == 1 && i != 1 ? 1 : 0);  // loses one
      record.prefill = full ? 3 : 1.5;
      record.kept = full ? 1 : 0.1;
      if (!full) record.recall = 0.5;
      if (full || i < 39) records.push_back(record);
    }
  }
  const auto results = ex::aggregate(records, {"full", "other", "absent"}, {"other", "absent"});
  REQUIRE(results.size() == 2);
  CHECK(results[0].samples == 40);
  CHECK_FALSE(results[0].against_full);
  CHECK(results[1].samples == 39);
  CHECK(results[1].against_full->mean == Approx(-1.0 / 39));
  CHECK(results[1].against_full->high <= 0);  // pairs: it never gains
  REQUIRE(results[0].against.size() == 2);
  CHECK(results[0].against[0]->mean == Approx(1.0 / 39));
  CHECK(results[0].against[0]->low >= 0);
  CHECK_FALSE(results[0].against[1]);
  CHECK_FALSE(results[1].against[0]);  // itself
  CHECK(*results[1].speed_up == Approx(2));
  CHECK(*results[1].recall == Approx(0.5));
}

TEST_CASE("a stage's scores say how sure it was", "[examples]") {
  const at::Tensor sharp = at::tensor({0.0F, 8.0F, 1.0F, 1.0F, 0.0F, 0.0F});
  const auto stage = [](const at::Tensor& scores, std::vector<std::int64_t> kept) {
    const auto count = std::ssize(kept);
    return StageRecord{3, at::tensor(kept, at::kLong), {0, count}, {scores}};
  };
  const auto one = ex::selection_signals({stage(sharp, {1, 2, 5})}, 6);
  REQUIRE(one);
  CHECK(one->mass == Approx(0.9));
  CHECK(one->cut == Approx(1 / 8.0));
  CHECK(one->entropy ==
        Approx(-(0.8 * std::log(0.8) + 0.2 * std::log(0.1)) / std::log(6.0)).epsilon(1e-6));
  // A second stage's scores are of the tokens that the first one left, and the worse one counts.
  const auto two = ex::selection_signals(
      {stage(sharp, {1, 2, 5}), stage(at::tensor({1.0F, 1.0F, 2.0F}), {2, 5})}, 6);
  REQUIRE(two);
  CHECK(two->mass == Approx(0.75));
  CHECK(two->cut == Approx(0.5));
  CHECK(two->entropy > one->entropy);
  CHECK(!ex::selection_signals({stage(at::tensor({-1.0F, 2.0F}), {1})}, 2));  // raw logits
  CHECK(!ex::selection_signals({stage(at::Tensor(), {0, 1})}, 2));            // all stayed
  CHECK(!ex::selection_signals({}, 2));

  CHECK(*ex::auc({3, 4}, {1, 2}) == 1);
  CHECK(*ex::auc({1}, {1}) == 0.5);
  CHECK(*ex::auc({1, 5}, {2, 3}) == 0.5);
  CHECK(!ex::auc({}, {1}));
  // Full attention is right on three of four; the method loses the one it was least sure of.
  std::vector<ex::ReplyRecord> records;
  for (int i = 0; i < 4; ++i) {
    ex::ReplyRecord full, cut;
    full.sample = cut.sample = std::to_string(i);
    full.method = "full";
    full.score = i == 3 ? 0 : 1;
    full.prefill = cut.prefill = 1;
    cut.method = "promptdistill:stages=3:4";
    cut.score = i == 0 ? 0 : 1;
    cut.signals = ex::SelectionSignals{.mass = i == 0 ? 0.2 : 0.5, .entropy = 0.5, .cut = 0.1 * i};
    records.push_back(full);
    records.push_back(cut);
  }
  const auto results = ex::aggregate(records, {"full", "promptdistill:stages=3:4"});
  CHECK(results[0].warning.lost + results[0].warning.right == 0);
  const ex::Warning& warning = results[1].warning;
  CHECK(warning.lost == 1);
  CHECK(warning.right == 2);
  CHECK(*warning.mass == 1);
  CHECK(*warning.entropy == 0.5);
  CHECK(*warning.cut == 0);
}

TEST_CASE("what cache policies are asked in a prefill can be asked afterwards", "[examples]") {
  const CausalLm lm = tiny("tiny-llama3rope", at::kFloat);
  std::mt19937_64 random(8);
  const Ids ids = random_ids(random, 90, lm.config.vocab_size);
  const auto check = [&](auto policy, std::int64_t queries, auto&& replay) {
    KvCache then = lm.make_cache(1, 4), later = lm.make_cache(1, 4);
    prefill_one(lm, ids, then, NoDistill{}, {}, policy);
    ex::NotedProbes notes(queries);
    prefill_one(lm, ids, later, NoDistill{}, {}, notes);
    REQUIRE(later.at(0, 0).rows() == 90);
    replay(notes, later);
    for (std::int64_t l = 0; l < lm.layers(); ++l)
      CHECK(at::equal(later.at(0, l).positions(), then.at(0, l).positions()));
  };
  const auto at_once = [](auto policy) {
    return
        [=](const ex::NotedProbes& notes, KvCache& cache) mutable { notes.replay(policy, cache); };
  };
  const SnapKv snap({.capacity = 32, .window = 8, .pool = 5});
  check(snap, 8, at_once(snap));
  const StreamingLlm streaming({.sinks = 2, .recent = 30});
  check(streaming, 1, at_once(streaming));
  check(H2o({.heavy = 12, .recent = 8}), 90, [](const ex::NotedProbes& notes, KvCache& cache) {
    H2o all({.heavy = 1000, .recent = 1000});
    notes.replay(all, cache);
    H2o cut = all.with({.heavy = 12, .recent = 8});
    for (const CacheProbe& probe : notes.probes())
      cut.cut(probe.row, probe.layer, cache.at(probe.row, probe.layer), probe.room);
  });
}

TEST_CASE("replies decoded together are those decoded alone", "[examples]") {
  const CausalLm lm = tiny("tiny-llama3rope", at::kFloat);
  std::mt19937_64 random(9);
  const Ids ids = random_ids(random, 90, lm.config.vocab_size), right{5, 17, 5, 40};
  GenerateOptions options;
  options.max_new_tokens = 12;
  const std::vector<std::string> methods{"full",
                                         "h2o:heavy=12,recent=8",
                                         "promptdistill:stages=1:16,truncate=all",
                                         "streamingllm:sinks=2,recent=30",
                                         "snapkv:capacity=32,window=8,pool=5",
                                         "h2o:heavy=6,recent=20"};
  const auto read_by = [&](const std::string& text) {
    MethodPolicies policies = make_policies(parse_method(text));
    KvCache cache = lm.make_cache(1, options.max_new_tokens);
    PrefillResult read = lm.prefill(at::tensor(ids, at::kLong), {90}, cache, policies.distiller, {},
                                    policies.cache_policy);
    return ex::ReadPrompt{std::move(cache), std::move(policies.cache_policy),
                          std::move(read.last_hidden)};
  };
  const auto alone = [&] {
    std::vector<Ids> replies;
    for (const std::string& text : methods) {
      KvCache cache = lm.make_cache(1, options.max_new_tokens);
      replies.push_back(run_method(lm, ids, parse_method(text), options, cache).tokens);
    }
    return replies;
  };
  const auto together = [&] {
    std::vector<ex::ReadPrompt> prompts;
    for (const std::string& text : methods) prompts.push_back(read_by(text));
    int steps = 0;
    std::vector<Ids> replies;
    for (ex::BatchReply& reply : ex::reply_together(lm, std::move(prompts), options.max_new_tokens,
                                                    options.stop_ids, [&] { ++steps; })) {
      CHECK((reply.tokens.size() > 1) == (reply.seconds > 0));
      replies.push_back(std::move(reply.tokens));
    }
    CHECK(steps < options.max_new_tokens);
    return replies;
  };
  std::vector<Ids> expected = alone();
  CHECK(together() == expected);
  CHECK(expected[1] != expected[5]);
  // Rows that end one after another; one of them at once.
  options.stop_ids = {expected[2][0], expected[5][1], expected[4][4]};
  expected = alone();
  REQUIRE(expected[2].size() == 1);
  std::set<std::size_t> sizes;
  for (const Ids& reply : expected) sizes.insert(reply.size());
  REQUIRE(sizes.size() >= 3);
  CHECK(together() == expected);

  std::vector<KvCache> caches;
  std::vector<at::Tensor> last;
  for (const std::size_t of : {0, 2, 4}) {
    ex::ReadPrompt read = read_by(methods[of]);
    caches.push_back(std::move(read.cache));
    last.push_back(std::move(read.last_hidden));
  }
  const at::Tensor surprise =
      ex::surprise_of(lm, KvCache::join(std::move(caches)), at::cat(last), right, [] {});
  REQUIRE(surprise.sizes() == at::IntArrayRef{3});
  for (const std::size_t row : {0, 1, 2}) {
    ex::ReadPrompt read = read_by(methods[2 * row]);
    at::Tensor logits = lm.logits(read.last_hidden)[0];
    double sum = 0;
    for (const std::int64_t token : right) {
      sum -= logits.log_softmax(-1)[token].item<double>();
      logits = append_one(lm, {token}, read.cache);
    }
    CHECK(surprise[static_cast<std::int64_t>(row)].item<double>() == Approx(sum / 4).epsilon(1e-5));
  }
}

TEST_CASE("a report shows scores over the prompt, the front, and text as text", "[examples]") {
  const auto stage = [](std::int64_t layer, at::Tensor scores, std::vector<std::int64_t> kept) {
    const auto count = std::ssize(kept);
    return StageRecord{layer, at::tensor(kept, at::kLong), {0, count}, {std::move(scores)}};
  };
  at::Tensor scores = at::zeros({200});
  scores[21] = 4;  // of positions 20 and 21, the eleventh part
  scores[199] = 1;
  const auto strips = ex::score_strips(
      {stage(2, scores, {0, 21, 199}), stage(5, at::tensor({-1.0F, 1.0F, 0.0F}), {21}),
       stage(6, at::Tensor(), {21}), stage(7, at::zeros({1}), {21})},
      200);
  REQUIRE(strips.size() == 2);  // the others scored nothing, or everything alike
  CHECK(strips[0].layer == 2);
  REQUIRE(strips[0].highest.size() == 100);
  CHECK(strips[0].highest[10] == 100);
  CHECK(strips[0].highest[9] == 0);
  CHECK(strips[0].highest[99] == 25);
  CHECK(strips[1].highest[0] == 0);
  CHECK(strips[1].highest[10] == 100);
  CHECK(strips[1].highest[99] == 50);
  CHECK(strips[1].highest[50] == -1);  // not live any more

  ex::Plot plot;
  plot.curves = {{"a", {{50, 60, 60, 60}, {100, 70, 70, 70}}},
                 {"b", {{50, 50, 50, 50}, {30, 40, 40, 40}, {60, 60, 60, 60}}}};
  const ex::Plot::Curve front = ex::detail::front_of(plot);
  REQUIRE(front.points.size() == 3);
  CHECK(front.points[0].x == 30);
  CHECK(front.points[1].x == 50);
  CHECK(front.points[1].y == 60);
  CHECK(front.points[2].x == 100);

  std::vector<ex::ReplyRecord> records;
  for (const std::int64_t tokens : {200, 100}) {
    for (const char* method : {"full", "promptdistill:stages=2:3"}) {
      ex::ReplyRecord record;
      record.sample = "<" + std::to_string(tokens) + ">";
      record.method = method;
      record.tokens = tokens;
      record.about = {{"length", tokens}, {"depth", 10}, {"kind", "a<b"}};
      record.prefill = 1;
      if (record.method != "full") {
        record.strips = strips;
        record.needles = nlohmann::json::array({{0.1, 0.11}});
      }
      records.push_back(record);
    }
  }
  const auto results = ex::aggregate(records, {"full", "promptdistill:stages=2:3"});
  const std::string page = ex::render_evaluation("<title>", "a & b", {{"method", "<th>"}},
                                                 {{"method"}}, records, {}, results, {});
  for (const char* wanted :
       {"&lt;title&gt;", "a &amp; b", "&lt;th&gt;", "a&lt;b", "of 200 tokens (sample &lt;200&gt;)",
        "promptdistill:stages=2:3, layer 5", "class=needle x=\"100.0\""})
    CHECK_THAT(page, Catch::Matchers::Contains(wanted));
  CHECK(page.find("<title>&lt;") != std::string::npos);
  CHECK(page.find("<200>") == std::string::npos);
  CHECK(page.find("Scores on the same prompts") == std::string::npos);
}

TEST_CASE("planted tasks hide what they ask for where they say", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const auto tokenizer = std::make_shared<const Tokenizer>(Tokenizer::load(*model));
  const ChatFormat format = ChatFormat::load(*model);
  std::string text;
  for (int i = 0; i < 400; ++i)
    text += "The river runs past town number " + std::to_string(i) + ". ";
  const auto planter_of = [&](const std::string& document) {
    return std::make_shared<const ex::PromptPlanter>(*tokenizer, format,
                                                     tokenizer->encode(document, false));
  };
  const auto planter = planter_of(text);
  ex::NeedleGrid grid;
  grid.lengths = {500, 900};
  grid.depths = 4;
  grid.repeats = 2;
  std::vector<ex::Task> tasks{
      ex::needle_task(planter, grid, "A needle lies here.", "What lies here?", "a needle"),
      ex::pass_key_task(planter, grid), ex::facts_task(planter, grid)};
  for (const char* name : ex::kRulerTasks)
    tasks.push_back(ex::ruler_task(name, planter, planter_of, grid));
  for (const ex::Task& task : tasks) {
    REQUIRE(task.size == 16);
    std::set<std::string> ids, prompts;
    for (std::size_t i = 0; i < task.size; ++i) {
      INFO(task.name << " " << i);
      const ex::Sample sample = task.make(i);
      CHECK(task.make(i).ids == sample.ids);  // the same whenever it is made
      ids.insert(sample.id);
      CHECK(std::ssize(sample.ids) == sample.about.at("length").get<std::int64_t>());
      const std::string shown = tokenizer->decode(sample.ids, false);
      prompts.insert(shown);
      CHECK(task.score(sample, "nothing of the kind") < 0.5);
      std::string all;
      for (const std::string& reference : sample.references) all += reference + " ";
      CHECK(task.score(sample, all) == 1);
      if (task.name == "ruler:cwe" || task.name == "ruler:fwe") {
        // They are what occurs most, whatever else does.
        std::map<std::string, int> counts;
        std::istringstream words(shown);
        for (std::string word; words >> word;) ++counts[word];
        counts.erase("...");
        int least = 1000;
        for (const std::string& word : sample.references) least = std::min(least, counts[word]);
        CHECK(least >= 2);
        for (const auto& [word, count] : counts) {
          const bool expected = std::find(sample.references.begin(), sample.references.end(),
                                          word) != sample.references.end();
          INFO(task.name << ": " << word << " " << count << ", least " << least);
          // Words of the question and of the chat's frame are not of the list.
          if (!expected && word.size() > 4 && std::isalpha(static_cast<unsigned char>(word[0])))
            CHECK(count <= least);
        }
        continue;
      }
      REQUIRE(!sample.needles.empty());
      for (const ex::TokenRange& range : sample.needles) {
        const std::string planted =
            tokenizer->decode(std::vector<std::int64_t>(sample.ids.begin() + range.begin,
                                                        sample.ids.begin() + range.end),
                              false);
        CHECK(planted.size() > 10);
        const auto before = shown.find(planted);
        REQUIRE(before != shown.npos);
        // At the end of a sentence, or where the document begins or ends.
        const std::size_t end = shown.find_last_not_of(" \n", before - 1);
        CHECK((std::string(".!?").find(shown[end]) != std::string::npos || range.begin < 40 ||
               sample.about.at("depth") == 100));
      }
      if (task.name != "niah" && sample.needles.size() == 1) {
        const ex::TokenRange& range = sample.needles.front();
        CHECK_THAT(tokenizer->decode(std::vector<std::int64_t>(sample.ids.begin() + range.begin,
                                                               sample.ids.begin() + range.end),
                                     false),
                   Catch::Matchers::Contains(sample.references.front()));
      }
    }
    CHECK(ids.size() == task.size);
    CHECK(prompts.size() == task.size);
  }
  CHECK_THROWS_AS(ex::ruler_task("none", planter, planter_of, grid), ex::UsageError);

  // Whatever the grid, a length and a depth meet every kind of fact.
  for (auto [depths, repeats, lengths] :
       {std::tuple{5, 8, std::vector<std::int64_t>{500}},
        std::tuple{1, 1, std::vector<std::int64_t>{500, 510, 520, 530, 540, 550, 560, 570}}}) {
    ex::NeedleGrid odd;
    odd.lengths = std::move(lengths);
    odd.depths = depths;
    odd.repeats = repeats;
    const ex::Task facts = ex::facts_task(planter, odd);
    std::map<double, std::set<std::string>> kinds;
    for (std::size_t i = 0; i < facts.size; ++i) {
      const json about = facts.make(i).about;
      kinds[about.at("depth")].insert(about.at("kind").get<std::string>());
    }
    CHECK(std::ssize(kinds) == depths);
    for (const auto& [depth, met] : kinds) CHECK(met.size() == 8);
  }
}

}  // namespace
}  // namespace promptdistill::test
