// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-bench on a tiny random model: what it measures, keeps, goes on with and refuses.
// Nothing here depends on how fast the machine is.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/prediction.hpp"
#include "examples/bench/random_model.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/plot.hpp"
#include "promptdistill/baseline/method_text.hpp"
#include "tests/examples/shell.hpp"

namespace promptdistill::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kBench = "promptdistill-bench --random tiny --threads 1 --new-tokens 4 ";

std::vector<std::string> lines_of(const Shell& shell, const std::string& name) {
  std::istringstream text(read_bytes(shell.folder / name));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

/// "length/repetition/method" of every timed run of lines `first` and on.
std::vector<std::string> timed_runs(const std::vector<std::string>& lines, std::size_t first = 0) {
  std::vector<std::string> runs;
  for (std::size_t i = first; i < lines.size(); ++i) {
    const json line = json::parse(lines[i]);
    if (!line.contains("time")) continue;
    const json& time = line.at("time");
    runs.push_back(std::to_string(time.at("length").get<int>()) + "/" +
                   std::to_string(time.at("repetition").get<int>()) + "/" +
                   time.at("method").get<std::string>());
  }
  return runs;
}

TEST_CASE("auto keeps the dtype of the weights where it is fast", "[examples]") {
  const auto chosen = [](at::ScalarType stored, std::vector<at::ScalarType> fast,
                         const char* device = "cpu") {
    return examples::auto_dtype(stored, at::Device(device), [&](at::ScalarType dtype) {
      return std::find(fast.begin(), fast.end(), dtype) != fast.end();
    });
  };
  CHECK(chosen(at::kBFloat16, {at::kBFloat16}) == at::kBFloat16);
  CHECK(chosen(at::kBFloat16, {at::kHalf}) == at::kFloat);
  CHECK(chosen(at::kHalf, {at::kHalf, at::kBFloat16}) == at::kHalf);
  CHECK(chosen(at::kHalf, {at::kBFloat16}) == at::kBFloat16);
  CHECK(chosen(at::kHalf, {}) == at::kFloat);
  CHECK(chosen(at::kFloat, {}) == at::kFloat);
  CHECK(chosen(at::kHalf, {}, "cuda") == at::kHalf);
}

TEST_CASE("bench runs every suite and reports all of it", "[examples]") {
  const Shell shell;
  const ProgramRun ran =
      shell(kBench + "--lengths 40,700 --reps 2 --report report --json out.json");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = shell.read("out.json");
  CHECK(out == shell.read("report/summary.json"));
  CHECK(out.at("settings").at("threads") == 1);
  CHECK(out.at("settings").at("dtype") == "float32");
  CHECK(out.at("model").at("random") == "tiny");
  CHECK(out.at("program").at("torch").is_string());
  CHECK(!out.at("machine").at("cpu").get<std::string>().empty());
  CHECK(out.at("bandwidth_bytes_per_second").get<double>() > 0);
  std::set<std::string> labels, studies;
  for (const json& result : out.at("results")) {
    INFO(result.dump());
    labels.insert(result.at("label"));
    if (result.contains("study")) studies.insert(result.at("study"));
    CHECK(result.at("first_token_seconds").get<double>() > 0);
    CHECK(result.at("first_token_seconds_of_each").size() == 2);
    CHECK(result.at("decode_tokens_per_second").get<double>() > 0);
    CHECK(result.at("speed_up").at("ratio_of_medians").get<double>() > 0);
    if (!result.at("predicted_cache_bytes").is_null())
      CHECK(result.at("predicted_cache_bytes") == result.at("cache_bytes"));
    if (result.at("suite") == "methods") {
      CHECK(result.at("peak_tensor_bytes") > result.at("cache_bytes"));
      CHECK(result.at("peak_rss_bytes").get<std::int64_t>() > 0);
    }
  }
  for (const char* label :
       {"full", "distilled 3:512", "distilled 4:512", "distilled 1:2048,3:512,4:256", "GemFilter 3",
        "GemFilter 4, improved", "SnapKV", "H2O", "StreamingLLM", "FastKV", "1% at 3",
        "50% at 3, caches cut", "10% at 0, caches cut", "3 stages: 1:140,3:70,4:35"})
    CHECK(labels.contains(label));
  CHECK(studies == std::set<std::string>{"number of stages", "retention", "retention, caches cut",
                                         "stage layer"});
  CHECK_THAT(ran.out, Catch::Matchers::Contains("700 tokens: first token") &&
                          Catch::Matchers::Contains("of the bound") &&
                          Catch::Matchers::Contains("float32, cpu, 1 threads"));
  const std::string page = read_bytes(shell.folder / "report/report.html"),
                    script = read_bytes(shell.folder / "report/plots.gp");
  CHECK_THAT(page, Catch::Matchers::Contains("<h2>700 tokens, retention: first token</h2>"));
  CHECK_THAT(script, Catch::Matchers::Contains("set output 'speed_up.svg'"));
  // gnuplot may be missing: then it is said, and all else is there.
  CHECK((fs::exists(shell.folder / "report/speed_up.svg") ||
         contains(ran.err, "gnuplot is not installed")));
}

TEST_CASE("a plot of one number has a range to draw, and a folder of any spelling a name",
          "[examples]") {
  examples::Plot plot;
  plot.curves = {{"zero", {{0, 0, 0, 0}, {50, 0, 0, 0}}}};
  CHECK_THAT(examples::detail::script_of(plot),
             Catch::Matchers::Contains("set yrange [0:1]\n") &&
                 Catch::Matchers::Contains("set xrange [*:*]\n"));
  plot.logarithmic_y = true;
  plot.curves = {{"one", {{50, 3, 2, 4}}}};
  CHECK_THAT(examples::detail::script_of(plot),
             Catch::Matchers::Contains("set yrange [1.5:6]\n") &&
                 Catch::Matchers::Contains("set xrange [25:100]\n"));
  for (const char* spelling : {"/models/tiny", "/models/tiny/", "/models/tiny/.", "/models/./tiny"})
    CHECK(examples::folder_name(spelling) == "tiny");
  CHECK(examples::folder_name(".") == fs::current_path().filename());
}

TEST_CASE("bench draws no plots without gnuplot and says what to do", "[examples]") {
  const Shell shell;
  const ProgramRun ran = shell(
      "promptdistill-bench --random tiny --suite prefill --lengths 20 --reps 1 --method snapkv "
      "--report report --no-such-flag; test $? = 2 && PATH=/nonexistent " PROMPTDISTILL_BIN_DIR
      "/promptdistill-bench --random tiny --suite prefill --lengths 20 --reps 1 --method snapkv "
      "--report report");
  INFO(ran.err);
  CHECK(ran.code == 0);
  CHECK_THAT(ran.err, Catch::Matchers::Contains("gnuplot is not installed"));
  CHECK(!fs::exists(shell.folder / "report/speed_up.svg"));
  CHECK(fs::exists(shell.folder / "report/plots.gp"));
  CHECK_THAT(read_bytes(shell.folder / "report/report.html"),
             Catch::Matchers::Contains("20 tokens: first token"));
}

TEST_CASE("bench packs prompts and says which rows are equal", "[examples]") {
  const Shell shell;
  const std::string command = kBench +
                              "--suite batch --batch 3 --lengths 60 --reps 2 --method "
                              "promptdistill:stages=2:8 --report report --json out.json";
  const ProgramRun ran = shell(command);
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = shell.read("out.json");
  REQUIRE(out.at("results").size() == 2);
  for (const json& result : out.at("results")) {
    CHECK(result.at("prompt_tokens") == json({20, 40, 60}));
    CHECK(result.at("rows_equal_to_batch_1") == 3);  // float32
    CHECK(result.at("new_tokens") == 3 * 4);
    CHECK(result.at("packed_seconds_of_each").size() == 2);
    CHECK(result.at("throughput").at("ratio_of_medians").get<double>() > 0);
  }
  CHECK_THAT(ran.out, Catch::Matchers::Contains("3 of 3") &&
                          Catch::Matchers::Contains("3 prompts of 20 to 60 tokens"));
  const std::size_t lines = lines_of(shell, "report/results.jsonl").size();
  REQUIRE(shell(command).code == 0);
  CHECK(lines_of(shell, "report/results.jsonl").size() == lines + 1);  // the process's own
  const ProgramRun refused = shell(kBench + "--suite batch --lengths 60 --method snapkv");
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err,
             Catch::Matchers::Contains("--suite batch is for full attention and promptdistill"));
}

TEST_CASE("bench asks a document that it read once, beside prompts from nothing", "[examples]") {
  const Shell shell;
  const std::string command = kBench +
                              "--suite document --lengths 60 --reps 3 --method "
                              "promptdistill:stages=2:8 --method "
                              "promptdistill:stages=1:20,2:8,truncate=all --report report "
                              "--json out.json";
  const ProgramRun ran = shell(command);
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = shell.read("out.json");
  REQUIRE(out.at("results").size() == 3);
  for (const json& result : out.at("results")) {
    CHECK(result.at("suite") == "document");
    CHECK(result.at("document_tokens") == 60);
    CHECK(result.at("first_token_seconds_of_each").size() == 3);
    CHECK(result.at("from_nothing_seconds_of_each").size() == 3);
    CHECK(result.at("answers_equal_to_from_nothing") == 3);  // float32
    CHECK(result.at("document_bytes").get<std::int64_t>() > 0);
    CHECK(result.at("own_bytes").get<std::int64_t>() > 0);
  }
  // Of four layers full attention holds all, read to layer 1 two and the hidden states.
  CHECK(out.at("results")[2].at("document_bytes").get<double>() <
        out.at("results")[0].at("document_bytes").get<double>());
  CHECK_THAT(ran.out, Catch::Matchers::Contains("A document of 60 tokens, read once, and 3"));
  const std::size_t lines = lines_of(shell, "report/results.jsonl").size();
  REQUIRE(shell(command).code == 0);
  CHECK(lines_of(shell, "report/results.jsonl").size() == lines + 1);  // the process's own
  const ProgramRun refused = shell(kBench + "--suite document --lengths 60 --method snapkv");
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Catch::Matchers::Contains("--suite document is for full attention"));
}

TEST_CASE("a stopped bench goes on with what is missing", "[examples]") {
  const Shell shell;
  const std::string command = kBench +
                              "--suite decode --lengths 30,50 --reps 2 --method snapkv --method "
                              "promptdistill:stages=2:8 --report report --json out.json";
  REQUIRE(shell(command).code == 0);
  const json first = shell.read("out.json");
  const std::vector<std::string> lines = lines_of(shell, "report/results.jsonl");
  const std::vector<std::string> all = timed_runs(lines);
  REQUIRE(all.size() == 12);
  CHECK(std::vector<std::string>(all.begin(), all.begin() + 4) ==
        std::vector<std::string>{"30/0/full", "30/0/snapkv", "30/0/promptdistill:stages=2:8",
                                 "30/1/full"});  // in turn within a repetition

  // Cut in the middle of a repetition, and of a line, as a crash would.
  const auto last = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return contains(line, "\"time\"") && contains(line, "\"length\":50") &&
           contains(line, "\"repetition\":0") && contains(line, "snapkv");
  });
  REQUIRE(last != lines.end());
  std::string kept;
  for (auto line = lines.begin(); line <= last; ++line) kept += *line + "\n";
  shell.write("report/results.jsonl", kept + lines.back().substr(0, 40));
  const ProgramRun again = shell(command);
  INFO(again.err);
  REQUIRE(again.code == 0);
  const std::vector<std::string> resumed = lines_of(shell, "report/results.jsonl");
  const auto before = static_cast<std::size_t>(last - lines.begin()) + 1;
  CHECK(std::vector<std::string>(resumed.begin(),
                                 resumed.begin() + static_cast<std::ptrdiff_t>(before)) ==
        std::vector<std::string>(lines.begin(), last + 1));
  CHECK(timed_runs(resumed, before) ==  // full once more: ratios are of one process
        std::vector<std::string>{"50/0/full", "50/0/promptdistill:stages=2:8", "50/1/full",
                                 "50/1/snapkv", "50/1/promptdistill:stages=2:8"});
  const json second = shell.read("out.json");
  for (std::size_t i = 0; i < 3; ++i) {
    for (const char* key : {"first_token_seconds_of_each", "decode_speed_up"})
      CHECK(second.at("results").at(i).at(key) == first.at("results").at(i).at(key));
  }
  CHECK(second.at("results").size() == 6);

  // Finished: nothing is run, the report is made again.
  fs::remove(shell.folder / "report/report.html");
  REQUIRE(shell(command).code == 0);
  CHECK(timed_runs(lines_of(shell, "report/results.jsonl"), resumed.size()).empty());
  CHECK(fs::exists(shell.folder / "report/report.html"));
}

TEST_CASE("memory is measured once and goes on as well", "[examples]") {
  const Shell shell;
  const std::string command =
      kBench + "--suite memory --lengths 30 --method snapkv --report report";
  REQUIRE(shell(command).code == 0);
  std::vector<std::string> lines = lines_of(shell, "report/results.jsonl");
  REQUIRE(contains(lines.back(), "\"memory\""));
  lines.pop_back();
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  shell.write("report/results.jsonl", text);
  REQUIRE(shell(command).code == 0);
  const std::vector<std::string> resumed = lines_of(shell, "report/results.jsonl");
  CHECK(resumed.size() == lines.size() + 2);  // the process and the missing method
  CHECK(contains(resumed.back(), "snapkv"));
}

TEST_CASE("bench prefills in chunks, as planned", "[examples]") {
  const Shell shell;
  const auto measured = [&](const std::string& flags) {
    const ProgramRun ran = shell(kBench + "--suite memory --lengths 300 --method " +
                                 "promptdistill:stages=3:20 --json - " + flags);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    return json::parse(ran.out);
  };
  const json whole = measured(""), chunked = measured("--prefill-chunk 50");
  CHECK(chunked.at("settings").at("prefill_chunk") == 50);
  for (std::size_t m = 0; m < 2; ++m) {
    for (const json& run : {whole, chunked}) {
      const json& result = run.at("results").at(m);
      CHECK(result.at("peak_tensor_bytes").get<double>() ==
            Approx(result.at("predicted_peak_bytes").get<double>()).epsilon(0.1));
    }
    CHECK(chunked.at("results").at(m).at("peak_tensor_bytes") <
          whole.at("results").at(m).at("peak_tensor_bytes"));
  }
}

TEST_CASE("other settings, damage and a busy or closed folder are refused", "[examples]") {
  const Shell shell;
  const std::string command =
      kBench + "--suite prefill --lengths 30 --method snapkv --report report ";
  REQUIRE(shell(command).code == 0);
  const std::string results = read_bytes(shell.folder / "report/results.jsonl");
  const auto refused = [&](const ProgramRun& ran, int code, const std::string& message) {
    INFO(ran.err);
    CHECK(ran.code == code);
    CHECK_THAT(ran.err, Catch::Matchers::Contains(message));
  };
  refused(shell(command + "--reps 2"), 1, "settings/repetitions was 5 and is 2");
  refused(shell(command + "--dtype bfloat16"), 1,
          "settings/dtype was \"float32\" and is \"bfloat16\"");
  refused(shell(command + "--seed 2"), 1, "model/seed was 1 and is 2");
  refused(shell(command + "--method h2o"), 1, "settings/methods/2 was missing and is \"h2o\"");
  CHECK(read_bytes(shell.folder / "report/results.jsonl") == results);
  refused(shell("promptdistill-tokenize --version >/dev/null && flock "
                "report/results.jsonl " PROMPTDISTILL_BIN_DIR "/" +
                command),
          1, "another run writes to it");
  const std::size_t second = results.find('\n') + 1;
  shell.write("report/results.jsonl", results.substr(0, second) + "{\"time\": {}}\n");
  refused(shell(command), 1, "results.jsonl");
  refused(shell(command), 1, "line 2");
  shell.write("report/results.jsonl", "not JSON\n");
  refused(shell(command), 1, "line 1");
  shell.write("file", "");
  refused(shell(kBench + "--suite prefill --lengths 30 --report file"), 1, "file");
  refused(shell(kBench + "--suite prefill --lengths 30 --report /proc/none"), 1, "/proc/none");
  refused(shell(kBench + "--suite prefill --lengths 30 --json /nonexistent/out.json"), 1,
          "cannot write /nonexistent/out.json");
}

TEST_CASE("bench explains bad usage", "[examples]") {
  const Shell shell;
  const std::string bench = "promptdistill-bench ";
  require_message(shell(bench), 2, "give MODEL_DIR or --random");
  require_message(shell(bench + "folder --random tiny"), 2, "one of them");
  require_message(shell(bench + "nowhere"), 1, "nowhere/config.json");
  require_message(shell(bench + "--random huge"), 2, "llama-3.1-8b-4-layers, tiny, got huge");
  require_message(shell(bench + "nowhere --layers 3"), 2, "--layers needs --random");
  require_message(shell(kBench + "--suite speed"), 2, "--suite");
  require_message(shell(kBench + "--lengths 0"), 2, "--lengths");
  require_message(shell(kBench + "--lengths 8190"), 2, "must be at most 8189 with 4 new tokens");
  require_message(shell(kBench + "--reps 0"), 2, "--reps");
  require_message(shell(kBench + "--new-tokens 1"), 2, "--new-tokens");
  require_message(shell(kBench + "--method nonsense"), 2, "a method must be one of full");
  require_message(shell(kBench + "--method snapkv:size=3"), 2, "snapkv has the settings capacity");
  require_message(shell(kBench + "--method promptdistill:stages=9:4"), 1, "layers 0 to 5, got 9");
  require_message(shell(kBench + "--device moon"), 2, "--device must be");
  shell.write("ids.json", "[1, 2, 3]");
  require_message(shell(kBench + "--ids-file ids.json --lengths 2,4"), 2, "the file has 3");
  const ProgramRun help = shell(bench + "--help");
  CHECK(help.code == 0);
  CHECK_THAT(help.out, Catch::Matchers::Contains("Examples:") &&
                           !Catch::Matchers::Contains("--measure-alone"));
}

TEST_CASE("bench defaults fit any depth and chosen methods are all there is", "[examples]") {
  const Shell shell;
  for (const std::string layers : {"1", "2", "3", "32"}) {
    const ProgramRun ran = shell(kBench + "--lengths 20 --reps 1 --layers " + layers + " --json -");
    INFO(layers << ran.err);
    REQUIRE(ran.code == 0);
    CHECK(json::parse(ran.out).at("model").at("config").at("num_hidden_layers") ==
          std::stoi(layers));
  }
  const ProgramRun ran = shell(kBench +
                               "--suite decode --lengths 20 --reps 1 --method full --method "
                               "streamingllm:sinks=2,recent=6 --json -");
  REQUIRE(ran.code == 0);
  const json results = json::parse(ran.out).at("results");
  REQUIRE(results.size() == 2);
  CHECK(results.at(0).at("method") == "full");
  CHECK(results.at(1).at("method") == "streamingllm:sinks=2,recent=6");
  CHECK(results.at(1).at("cache_bytes") < results.at(0).at("cache_bytes"));
}

TEST_CASE("predictions are the planner's, of the method that is run", "[examples]") {
  const ModelConfig config =
      examples::random_config(examples::random_shape("llama-3.1-8b-4-layers"), 32);
  PlanRequest request;
  request.prompt_tokens = 8192;
  request.room = 64;
  const auto of = [&](const std::string& method) {
    return examples::predict(config, request, parse_method(method));
  };
  CHECK(of("full").speed_up == 1.0);
  DistillOptions options;
  options.stages = {{14, Count{512}}};
  CHECK(of("promptdistill:stages=14:512").speed_up ==
        speed_up(plan_prefill(config, request, options), plan_prefill(config, request)));
  CHECK(of("promptdistill:stages=14:512").speed_up >
        of("promptdistill:stages=14:512,placement=after").speed_up);
  CHECK(of("gemfilter:layer=14,tokens=512").cache_bytes ==
        of("gemfilter-improved:layer=14,tokens=512").cache_bytes);
  CHECK(of("gemfilter:layer=14,tokens=512").speed_up > 1.5);
  CHECK(of("gemfilter-improved:layer=14,tokens=512").speed_up >
        of("gemfilter:layer=14,tokens=512").speed_up);
  CHECK(of("snapkv:capacity=532").cache_bytes < of("full").cache_bytes);
  CHECK(!of("h2o").cache_bytes);
}

}  // namespace
}  // namespace promptdistill::test
