// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Metrics of the evaluator against the Python packages and definitions they restate.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/evaluate/infbench_metrics.hpp"
#include "examples/evaluate/metrics.hpp"
#include "tests/catch.hpp"

namespace promptdistill::examples {
namespace {

TEST_CASE("metrics equal the packages and definitions they restate", "[examples]") {
  std::ifstream file(std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "metrics.json");
  const auto golden = nlohmann::json::parse(file);
  const auto classes = golden.at("classes").get<std::vector<std::string>>();
  std::map<std::string, int> seen;
  for (const auto& pair : golden.at("pairs")) {
    const auto metric = pair.at("metric").get<std::string>(),
               reply = pair.at("reply").get<std::string>();
    const auto& reference = pair.at("reference");
    const auto text = reference.is_string() ? reference.get<std::string>() : std::string();
    double score = -1;
    if (metric == "token_f1") score = token_f1(reply, text);
    if (metric == "rouge_l") score = rouge_l(reply, text);
    if (metric == "edit_similarity") score = edit_similarity(reply, text);
    if (metric == "classification") score = classification(reply, text, classes);
    if (metric == "number_share") score = number_share(reply, text);
    if (metric == "retrieval")
      score = retrieval(reply, text, text.starts_with("P") ? "Paragraph " : "段落");
    if (metric == "string_share")
      score = string_share(reply, reference.get<std::vector<std::string>>());
    const auto texts = reference.is_array() ? reference.get<std::vector<std::string>>()
                                            : std::vector<std::string>();
    if (metric == "kv_retrieval") score = has_value(reply, text);
    if (metric == "passkey") score = first_number_is(reply, text);
    if (metric == "math_find") score = first_decimal_is(reply, text);
    if (metric == "code_run") score = last_integer_is(reply, text);
    if (metric == "code_debug") score = names_option(reply, texts.at(1), texts.at(0));
    if (metric == "choice") score = chooses(reply, texts.at(1), texts.at(0));
    if (metric == "dialogue") score = names_speaker(reply, texts);
    INFO(pair.dump());
    CHECK(std::abs(score - pair.at("score").get<double>()) < 1e-9);
    ++seen[metric];
  }
  CHECK(seen.size() == 14);
  for (const auto& [metric, count] : seen) CHECK(count >= 200);
}

TEST_CASE("metrics score what is empty or not text", "[examples]") {
  for (const char* reply : {"", " ", "\xff\xfe", "."}) {
    CHECK(token_f1(reply, "river") == 0);
    CHECK(rouge_l(reply, "") == 0);
    CHECK(edit_similarity(reply, "return x") < 0.3);
    CHECK(number_share(reply, "7") == 0);
    CHECK(retrieval(reply, "no marker", "Paragraph ") == 0);
    CHECK(retrieval(reply, "Paragraph", "Paragraph ") == 0);
    CHECK(word_share(reply, "river") == 0);
    CHECK(string_share(reply, {}) == 0);
    CHECK(character_f1(reply, "北京") == 0);
  }
  CHECK(edit_similarity("", "") == 1);  // fuzzywuzzy: equal texts
}

TEST_CASE("needle words and Chinese characters are shared by share", "[examples]") {
  const char* needle = "eat a sandwich and sit in Dolores Park on a sunny day.";
  CHECK(word_share("You should Eat a sandwich!", needle) == Approx(3.0 / 11));  // eat, a, sandwich
  CHECK(word_share(needle, needle) == 1);
  CHECK(character_f1("北京大学。", "北京") == Approx(2 * 0.5 / 1.5));
  CHECK(character_f1("北 京！", "北京") == 1);
}

TEST_CASE("InfiniteBench's answers are found where the benchmark looks", "[examples]") {
  CHECK(first_number_is("The pass key is 71432. 5", "71432"));
  CHECK_FALSE(first_number_is("5, or 71432", "71432"));
  CHECK_FALSE(first_number_is("", "71432"));
  CHECK(has_value("{\"key\": \"0a-1b\"}", "0a-1b"));
  CHECK_FALSE(has_value("x0a-1b", "0a-1b"));
  CHECK(last_integer_is("The value is: -14.", "-14"));
  CHECK(last_integer_is("`7`\n", "7"));
  CHECK_FALSE(last_integer_is("7 apples", "7"));
  CHECK_FALSE(last_integer_is("", "7"));
  CHECK_FALSE(first_decimal_is("12.5", "12"));
  CHECK(first_decimal_is("12.50 or 3", "12.5"));
  CHECK(last_integer_is("007", "7"));
  CHECK(names_option("B. because", "B", "f"));
  CHECK(names_option("The correct answer is: find_path", "C", "find_path"));
  CHECK(names_option("Answer: no, but the error is: D", "D", "f"));
  CHECK_FALSE(names_option("Because", "B", "f"));
  CHECK_FALSE(names_option("", "B", "f"));
  CHECK(chooses("C", "C", "the dog"));
  CHECK_FALSE(chooses("Dog", "C", "the dog"));  // begins with D
  CHECK(chooses("the dog", "C", "the dog"));
  CHECK(chooses("I think the answer is: C, of course", "C", "the dog"));
  CHECK(chooses("maybe B", "B", "x"));
  CHECK_FALSE(chooses("maybe not", "B", "x"));
  const std::vector<std::string> names{"RACHEL", "Ray"};
  CHECK(names_speaker("It is Rachel.", names));
  CHECK_FALSE(names_speaker("It is Rachelle.", names));
}

}  // namespace
}  // namespace promptdistill::examples
