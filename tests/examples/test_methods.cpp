// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// --method in the programs: what it writes, and what it refuses.

#include <nlohmann/json.hpp>
#include <string>

#include "tests/examples/shell.hpp"
#include "tests/golden/golden_method.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

using nlohmann::json;

const std::string kTiny = (golden_dir() / "method" / "tiny-llama3rope").string();

TEST_CASE("generate runs every method as its oracle does and says how", "[examples]") {
  const Shell shell;
  std::string last;
  for (const json& test : read_golden("rivals/tiny-llama3rope.json").at("cases")) {
    if (test.at("method") == last) continue;  // one of each
    last = test.at("method").get<std::string>();
    shell.write("ids.json", test.at("ids").dump());
    const std::string method = rival_text(test);
    INFO(method);
    const ProgramRun ran = shell("promptdistill-generate " + kTiny +
                                 " --ids-file ids.json --threads 1 --json out.json --method " +
                                 method + " --max-new-tokens " + test.at("max_new").dump());
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    const json out = shell.read("out.json"), &expected = test.at("expected");
    CHECK(out.at("tokens") == expected.at("tokens"));
    CHECK(out.at("cache_rows") == expected.at("cache_rows"));
    for (std::size_t s = 0; s < expected.at("stages").size(); ++s)
      CHECK(out.at("stages").at(s).at("kept_positions") ==
            expected.at("stages").at(s).at("kept_positions"));
    const json& settings = out.at("settings");
    CHECK(settings.at("method") == last);
    for (const auto& [key, value] : test.at("settings").items())
      CHECK(settings.at(key == "k" ? "tokens" : key == "kind" ? "pooling" : key) == value);
    CHECK(!settings.contains("stages"));
  }
}

TEST_CASE("promptdistill's settings may stand in the method or beside it", "[examples]") {
  const Shell shell;
  shell.write("ids.json", "[5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]");
  const std::string generate =
      "promptdistill-generate " + kTiny + " --ids-file ids.json --json out.json ";
  json settings[4];
  int i = 0;
  for (const char* flags : {"--method promptdistill:stages=1:9,2:4,pool=3,placement=after",
                            "--method promptdistill --stages 1:9,2:4 --pool 3 --placement after",
                            "--stages 1:9,2:4 --pool 3 --placement after", "--method full"}) {
    INFO(flags);
    REQUIRE(shell(generate + flags).code == 0);
    settings[i++] = shell.read("out.json").at("settings");
  }
  CHECK(settings[0] == settings[1]);
  CHECK(settings[0] == settings[2]);
  CHECK(settings[0].at("method") == "promptdistill");
  CHECK(settings[3].at("method") == "full");
  CHECK(settings[3].at("stages") == "none");
}

TEST_CASE("a setting that the method does not have is bad usage", "[examples]") {
  const Shell shell;
  shell.write("ids.json", "[5, 6, 7, 8, 9, 10]");
  const std::string generate = "promptdistill-generate " + kTiny + " --ids-file ids.json --method ";
  for (const char* flag : {"--stages 1:4", "--truncate all", "--placement after", "--scorer window",
                           "--window 4", "--skip-last 2", "--heads 1:0", "--pool 3",
                           "--protect-first 1", "--protect-last 1", "--profile none"}) {
    const std::string name = std::string(flag).substr(0, std::string(flag).find(' '));
    require_message(shell(generate + "snapkv " + flag), 2,
                    name + " is no setting of --method snapkv");
  }
  require_message(shell(generate + "full --stages 1:4"), 2, "--stages is no setting");
  require_message(shell(generate + "promptdistill:stages=1:4 --pool 3"), 2, "--pool is no setting");
  require_message(shell(generate + "promptdistill"), 2, "needs --stages or --profile");
  require_message(shell(generate + "promptdistill:pool=3"), 2, "needs stages");
  require_message(shell(generate + "snapkv:heavy=3"), 2, "got 'heavy'");
  require_message(shell(generate + "kv"), 2, "must be one of full, promptdistill");
  require_message(shell(generate + "h2o:heavy=0"), 2, "got 0 and 512");
  require_message(shell(generate + "gemfilter:layer=5"), 1, "layers 0 to 4, got 5");
}

TEST_CASE("compare puts rivals beside each other", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  const std::string methods =
      " --method snapkv:capacity=96 --method gemfilter:tokens=96 --method fastkv:capacity=96 ";
  const ProgramRun compare =
      shell("promptdistill-compare " + model->string() + methods +
            "--tokens 300 --runs 1 --new-tokens 3 --json out.json --html page.html");
  INFO(compare.err);
  REQUIRE(compare.code == 0);
  const json results = shell.read("out.json").at("results");
  REQUIRE(results.size() == 4);
  CHECK(results[1].at("method") == "snapkv:capacity=96");
  CHECK(results[1].at("settings").at("window") == 32);
  CHECK(results[1].at("cache_rows")[0] == 96);
  CHECK(results[2].at("stages")[0].at("kept") == 96);
  CHECK(results[3].at("stages")[0].at("kept") == 60);
}

}  // namespace
}  // namespace promptdistill::test
