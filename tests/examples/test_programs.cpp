// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The programs as a user runs them: what they print and write, their messages and exit codes.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "promptdistill/model/checkpoint.hpp"
#include "tests/examples/shell.hpp"
#include "tests/golden/golden_method.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kTiny = (golden_dir() / "method" / "tiny-llama3rope").string();
const std::string kUntied = (golden_dir() / "method" / "tiny-untied").string();

json golden_case(const std::string& model, const std::string& name) {
  const json golden = read_golden("method/" + model + ".json");
  for (const json& test : golden.at("cases")) {
    if (test.at("name") == name) return test;
  }
  FAIL("no golden case " << name);
  return {};
}

TEST_CASE("generate writes what the oracle computed", "[examples]") {
  const Shell shell;
  const json test = golden_case("tiny-llama3rope", "one stage, truncate all");
  shell.write("ids.json", test.at("ids").dump());
  const std::string placement = GENERATE("before", "after");
  const ProgramRun ran =
      shell("promptdistill-generate " + kTiny +
            " --ids-file ids.json --stages 2:16 --truncate all --max-new-tokens 6 --placement " +
            placement + " --threads 1 --json out.json --dump-scores --dump-logits");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = shell.read("out.json"), &expected = test.at("expected");
  CHECK(json::parse(ran.out) ==
        expected.at("tokens"));  // no tokenizer in the folder: ids are printed
  CHECK(out.at("prompt_tokens") == 130);
  CHECK(out.at("tokens") == expected.at("tokens"));
  CHECK(out.at("text").is_null());
  CHECK(out.at("stop_reason") == "max_new_tokens");
  CHECK(out.at("stages").size() == 1);
  CHECK(out.at("stages")[0].at("layer") == 2);
  CHECK(out.at("stages")[0].at("budget") == "16");
  CHECK(out.at("stages")[0].at("kept_positions") == expected.at("stages")[0].at("kept_positions"));
  CHECK(out.at("stages")[0].at("scores").size() == 130);
  CHECK(out.at("cache_rows") == expected.at("cache_rows"));
  const auto logits = out.at("prefill_logits").get<std::vector<double>>();
  CHECK(apart(at::tensor(logits), expected.at("prefill_logits").get<std::vector<double>>()) < 2e-5);
  const auto last = out.at("last_logits").get<std::vector<double>>();
  CHECK(apart(at::tensor(last), expected.at("last_logits").get<std::vector<double>>()) < 2e-5);
  for (const char* key : {"load", "prefill", "decode"})
    CHECK(out.at("timings").at(key).get<double>() > 0);
  for (const char* key : {"weights", "cache", "peak"})
    CHECK(out.at("memory").at(key).get<std::int64_t>() > 0);
  CHECK(out.at("memory").at("peak") > out.at("memory").at("cache"));
  const json& settings = out.at("settings");
  CHECK(settings.at("stages") == "2:16");
  CHECK(settings.at("truncate") == "all");
  CHECK(settings.at("scorer") == "last");
  CHECK(settings.at("pool") == 5);
  CHECK(settings.at("placement") == placement);
  CHECK(settings.at("dtype") == "float32");
  CHECK(settings.at("threads") == 1);
}

TEST_CASE("generate takes every distilling flag", "[examples]") {
  const Shell shell;
  const json test = golden_case("tiny-llama3rope", "two stages, window and heads, truncate 1");
  shell.write("ids.json", test.at("ids").dump());
  const ProgramRun ran =
      shell("promptdistill-generate " + kTiny +
            " --ids-file ids.json --stages 0:50,2:12 --truncate 1 --scorer window "
            "--window 8 --heads '0:2;2:1,3' --pool 15 "
            "--protect-first 3 --max-new-tokens 6 --json -");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = json::parse(ran.out);  // "--json -": nothing else on standard output
  CHECK(out.at("tokens") == test.at("expected").at("tokens"));
  CHECK(out.at("cache_rows") == test.at("expected").at("cache_rows"));
  CHECK(out.at("settings").at("heads") == "0:2;2:1,3");
}

TEST_CASE("a profile holds settings, flags go over it, and another checkpoint's is refused",
          "[examples]") {
  const Shell shell;
  shell.write("ids.json", golden_case("tiny-llama3rope", "one stage").at("ids").dump());
  json profile{{"version", 1},
               {"name", "tiny"},
               {"fingerprint", fingerprint(kTiny)},
               {"scorer", "window"},
               {"window", 8},
               {"heads", "2:1"},
               {"pool", 3},
               {"protect_first", 2},
               {"stages", "2:16"},
               {"truncate", "all"},
               {"evidence", json::object()}};
  shell.write("profile.json", profile.dump());
  const std::string generate = "promptdistill-generate " + kTiny +
                               " --ids-file ids.json --max-new-tokens 2 --json out.json ";
  REQUIRE(shell(generate + "--profile profile.json").code == 0);
  json settings = shell.read("out.json").at("settings");
  CHECK(settings.at("scorer") == "window");
  CHECK(settings.at("stages") == "2:16");
  CHECK(settings.at("truncate") == "all");
  CHECK(settings.at("profile") == "profile.json");
  REQUIRE(shell(generate + "--profile profile.json --stages 1:20 --heads all").code == 0);
  settings = shell.read("out.json").at("settings");
  CHECK(settings.at("stages") == "1:20");
  CHECK(settings.at("heads") == "all");
  CHECK(settings.at("window") == 8);
  // Beside the checkpoint it is used where nothing else is asked for.
  fs::copy(kTiny, shell.folder / "model");
  profile["longest_prompt"] = 4000;
  shell.write("model/promptdistill.json", profile.dump());
  const std::string beside =
      "promptdistill-generate model --ids-file ids.json --max-new-tokens 2 --json out.json ";
  REQUIRE(shell(beside).code == 0);
  CHECK(shell.read("out.json").at("settings").at("stages") == "2:16");
  profile["longest_prompt"] = 2;  // beyond it, what nobody asked for is not used
  shell.write("model/promptdistill.json", profile.dump());
  const ProgramRun beyond = shell(beside);
  REQUIRE(beyond.code == 0);
  CHECK(beyond.err.find("full attention answers") != std::string::npos);
  CHECK(shell.read("out.json").at("settings").at("method") == "full");
  REQUIRE(shell(beside + "--profile model/promptdistill.json").code == 0);
  CHECK(shell.read("out.json").at("settings").at("stages") == "2:16");
  REQUIRE(shell(beside + "--profile none").code == 0);
  CHECK(shell.read("out.json").at("settings").at("stages") == "none");
  REQUIRE(shell(beside + "--stages 1:9").code == 0);  // plain stages are the paper's
  CHECK(shell.read("out.json").at("settings").at("scorer") == "last");
  profile["fingerprint"] = "0123456789abcdef";
  shell.write("profile.json", profile.dump());
  require_message(shell(generate + "--profile profile.json"), 1,
                  "made for another checkpoint (0123456789abcdef)");
  require_message(shell(generate + "--profile missing.json"), 1, "missing.json");
}

TEST_CASE("bad usage exits with 2 and says how to go on", "[examples]") {
  const Shell shell;
  shell.write("ids.json", "[5, 6, 7, 8, 9, 10]");
  const std::string generate = "promptdistill-generate " + kTiny + " ";
  require_message(shell("promptdistill-generate"), 2, "--help explains");
  require_message(shell(generate), 2, "--prompt");
  require_message(shell(generate + "--prompt a --prompt-file b"), 2, "--prompt");
  require_message(shell(generate + "--ids-file ids.json --placement middle"), 2, "middle");
  require_message(shell(generate + "--ids-file ids.json --max-new-tokens 0"), 2, "max-new-tokens");
  require_message(shell(generate + "--ids-file ids.json --window 8"), 2,
                  "need --stages or --profile");
  require_message(shell(generate + "--ids-file ids.json --stages 2:3 --window 8"), 2,
                  "--window needs --scorer window or raw");
  require_message(shell(generate + "--ids-file ids.json --chat"), 2, "--chat goes with --prompt");
  require_message(shell(generate + "--ids-file ids.json --system x"), 2, "--system needs --chat");
  require_message(shell(generate + "--ids-file ids.json --dump-scores"), 2, "need --json");
  require_message(shell(generate + "--ids-file ids.json --date x"), 2, "--date needs --chat");
  require_message(shell(generate + "--ids-file ids.json --stop x"), 2,
                  "--stop needs a tokenizer.json");
  require_message(shell(generate + "--ids-file ids.json --stop ''"), 2,
                  "a stop string must have a character");
  require_message(shell(generate + "--ids-file ids.json --repetition-penalty 0"), 2,
                  "repetition penalty must be above 0");
  require_message(shell(generate + "--ids-file ids.json --html x.html"), 2,
                  "--html needs a tokenizer.json");
  require_message(shell(generate + "--ids-file ids.json --device moon"), 2, "--device must be");
  require_message(shell(generate + "--ids-file ids.json --threads 100000"), 2, "--threads");
  const ProgramRun help = shell("promptdistill-generate --help");
  CHECK(help.code == 0);
  CHECK_THAT(help.out, Catch::Matchers::Contains("Examples:") &&
                           Catch::Matchers::Contains("--protect-first"));
  CHECK(shell("promptdistill-generate --version").code == 0);
}

TEST_CASE("failures exit with 1 and name what is wrong", "[examples]") {
  const Shell shell;
  shell.write("ids.json", "[5, 6, 7, 8, 9, 10]");
  const std::string generate = "promptdistill-generate " + kTiny + " --ids-file ids.json ";
  require_message(shell(generate + "--stages 2:0"), 2, "must be at least 1 token, got 0");
  require_message(shell(generate + "--stages 9:4"), 1, "the model has layers 0 to 4, got 9");
  require_message(shell(generate + "--stages 4:4"), 1, "must come before the last layer (4)");
  require_message(shell(generate + "--stages 3:4,1:2"), 2, "ascending order");
  require_message(shell(generate + "--stages 2:4 --pool 4"), 2,
                  "must be odd and at least 1, got 4");
  require_message(shell(generate + "--stages 2:4 --heads 2:6"), 1, "query heads 0 to 5, got 6");
  require_message(shell(generate + "--stages nonsense"), 2, "must read LAYER:BUDGET");
  require_message(shell(generate + "--temperature -1"), 2, "temperature must be at least 0");
  shell.write("ids.json", "[]");
  require_message(shell(generate), 1, "at least one token, got none");
  shell.write("ids.json", "[5, 96]");
  require_message(shell(generate), 1, "token ids must be in [0, 96), got 96");
  shell.write("ids.json", "[5, -1]");
  require_message(shell(generate), 1, "ids.json: the ids must be token ids, got -1");
  shell.write("ids.json", "{");
  require_message(shell(generate), 1, "ids.json: the ids must be a JSON array");
  shell.write("ids.json", json(std::vector<int>(513, 7)).dump());
  require_message(shell(generate), 1, "context of 512 tokens, row 0 needs 513");
  require_message(shell("promptdistill-generate nowhere --prompt a"), 1, "nowhere/config.json");
  require_message(shell("promptdistill-generate " + kTiny + " --prompt a"), 1, "tokenizer.json");
  fs::copy(kTiny, shell.folder / "cut");
  fs::resize_file(shell.folder / "cut" / "model.safetensors", 9000);
  shell.write("ids.json", "[5, 6]");
  require_message(shell("promptdistill-generate cut --ids-file ids.json"), 1, "is cut short");
  // A full disk: the answer is printed, the failure is told, nothing half-written stays.
  const ProgramRun full = shell(generate + "--json /dev/full");
  CHECK(full.code == 1);
  CHECK_THAT(full.err,
             Catch::Matchers::Contains("cannot write /dev/full: No space left on device"));
  const ProgramRun nowhere = shell(generate + "--json /nonexistent/out.json");
  CHECK(nowhere.code == 1);
  CHECK(nowhere.out.empty());  // told before the work, not after it
  CHECK_THAT(nowhere.err, Catch::Matchers::Contains("cannot write /nonexistent/out.json"));
  const ProgramRun full_stdout = shell(generate + ">/dev/full");
  CHECK(full_stdout.code == 1);
  CHECK_THAT(full_stdout.err, Catch::Matchers::Contains("cannot write to standard output"));
}

TEST_CASE("seeded sampling repeats itself, N = 1 works", "[examples]") {
  const Shell shell;
  shell.write("ids.json", "[7]");
  const std::string generate =
      "promptdistill-generate " + kTiny +
      " --ids-file ids.json --stages 2:4 --temperature 2 --top-k 50 --top-p 0.95 ";
  const ProgramRun first = shell(generate + "--seed 5"), again = shell(generate + "--seed 5"),
                   other = shell(generate + "--seed 6");
  CHECK(first.code == 0);
  CHECK(first.out == again.out);
  CHECK(first.out != other.out);
  require_message(shell(generate + "--seed -1"), 2, "--seed");
}

TEST_CASE("a repetition penalty changes a greedy answer and is reported", "[examples]") {
  const Shell shell;
  shell.write("ids.json", "[5, 17, 40, 9, 33, 21, 60, 2, 11]");
  const ProgramRun ran =
      shell("promptdistill-generate " + kTiny +
            " --ids-file ids.json --max-new-tokens 8 --repetition-penalty 1.3 --json -");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = json::parse(ran.out);
  // As transformers' generate(repetition_penalty=1.3) up to its end token, 3.
  CHECK(out.at("tokens") == json({69, 62, 7, 94, 68, 3}));
  CHECK(out.at("stop_reason") == "stop_token");
  CHECK(out.at("settings").at("repetition_penalty") == 1.3);
}

TEST_CASE("stop strings and a seed with a real model", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  const auto answer = [&](const std::string& flags) {
    const ProgramRun ran =
        shell("promptdistill-generate " + model->string() +
              " --chat --prompt 'Count from one to ten in words.' --max-new-tokens 40 "
              "--json out.json " +
              flags);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    const json out = shell.read("out.json");
    CHECK(out.at("text").get<std::string>() + "\n" == ran.out);
    return out;
  };
  const json whole = answer("");
  const std::string text = whole.at("text");
  REQUIRE(text.size() > 30);
  const std::string middle = text.substr(14, 7);  // crosses tokens
  const json cut = answer("--stop '" + middle + "' --stop nowhere");
  CHECK(cut.at("text") == text.substr(0, text.find(middle)));
  CHECK(cut.at("stop_reason") == "stop_string");
  CHECK(cut.at("tokens").size() < whole.at("tokens").size());
  CHECK(cut.at("settings").at("stop") == json({middle, "nowhere"}));
  const json unmet = answer("--stop nowhere");
  CHECK(unmet.at("text") == text);
  CHECK(unmet.at("stop_reason") == whole.at("stop_reason"));
  // A special token has no text in an answer: it stops by its id.
  const json special = answer("--stop '<|im_end|>' --stop '<|endoftext|>'");
  CHECK(special.at("tokens") == whole.at("tokens"));
  const json seeded = answer("--temperature 1 --seed 7");
  CHECK(answer("--temperature 1 --seed 7").at("tokens") == seeded.at("tokens"));
  CHECK(answer("--temperature 1 --seed 8").at("tokens") != seeded.at("tokens"));
}

TEST_CASE("a chat format's date, and a template that is not known", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  const std::string tokenize = "promptdistill-tokenize ", chat = " --chat ";
  require_message(
      shell(tokenize + model->string() + chat + "--date today", "Hi"), 2,
      "--date is for a chat format that writes one, this checkpoint's is ChatML without");
  require_message(shell(tokenize + model->string() + " --date today", "Hi"), 2,
                  "--date needs --chat");
  fs::create_directory(shell.folder / "other");
  fs::create_symlink(*model / "tokenizer.json", shell.folder / "other" / "tokenizer.json");
  shell.write("other/tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
  require_message(shell(tokenize + "other" + chat, "Hi"), 1, "leave out --chat");
  CHECK(shell(tokenize + "other", "Hi").code == 0);
}

TEST_CASE("a transformer that is not ours equals the oracle", "[examples]") {
  const Shell shell;
  const std::string name =
      GENERATE("two stages, last query, truncate 0", "two stages, last query, truncate 1",
               "two stages, last query, truncate 2", "full 40");
  const json test = golden_case("tiny-untied", name), &expected = test.at("expected");
  shell.write("ids.json", test.at("ids").dump());
  const std::string stages = test.at("stages").empty() ? "none" : "1:48,2:12";
  const ProgramRun ran =
      shell("custom_transformer " + kUntied + " --ids-file ids.json --stages " + stages +
            " --truncate " + std::to_string(test.at("truncate").get<int>()));
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = json::parse(ran.out);
  CHECK(out.at("tokens") == expected.at("tokens"));
  CHECK(out.at("cache_rows") == expected.at("cache_rows"));
  REQUIRE(out.at("stages").size() == expected.at("stages").size());
  for (std::size_t s = 0; s < out.at("stages").size(); ++s) {
    CHECK(out.at("stages")[s].at("kept_positions") ==
          expected.at("stages")[s].at("kept_positions"));
  }
}

TEST_CASE("a cache policy of one's own runs and checks itself", "[examples]") {
  const Shell shell;
  shell.write("ids.json", golden_case("tiny-llama3rope", "one stage").at("ids").dump());
  const std::string run = "custom_cache_policy " + kTiny + " --ids-file ids.json ";
  const ProgramRun ran = shell(run + "--small 24 --recent 8");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = json::parse(ran.out);
  CHECK(out.at("cache_rows") == json::array({32, 32, 32, 32, 32}));
  CHECK(out.at("tokens").size() == 8);
  CHECK(out.at("cache_bytes").get<int>() < out.at("full_cache_bytes").get<int>() / 2);
  require_message(shell(run + "--recent 0"), 2, "--recent");
}

TEST_CASE("a scorer and a selector of one's own run and check themselves", "[examples]") {
  const Shell shell;
  shell.write("ids.json", golden_case("tiny-llama3rope", "one stage").at("ids").dump());
  const std::string run = "custom_policy " + kTiny + " --ids-file ids.json ";
  const ProgramRun ran = shell(run + "--stages 2:24 --block 8");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = json::parse(ran.out), &kept = out.at("stages")[0].at("kept_positions");
  const auto tokens =
      static_cast<std::int64_t>(json::parse(read_bytes(shell.folder / "ids.json")).size());
  const std::int64_t end = (tokens - 1) / 8 * 8;  // behind it what is no whole block stays
  REQUIRE(std::ssize(kept) == 24 + tokens - end);
  for (std::size_t i = 0; i < 24; i += 8) {
    CHECK(kept[i].get<int>() % 8 == 0);
    CHECK(kept[i + 7].get<int>() == kept[i].get<int>() + 7);
  }
  CHECK(kept.back() == tokens - 1);
  CHECK(out.at("tokens").size() == 8);
  require_message(shell(run + "--stages 9:24"), 1, "layer");
  require_message(shell("custom_policy " + kTiny + " --ids-file none.json"), 1, "none.json");
}

TEST_CASE("a cache that is not ours is cut to the oracle's rows", "[examples]") {
  const Shell shell;
  const json test = golden_case("tiny-untied", "two stages, last query, truncate 2");
  shell.write("ids.json", test.at("ids").dump());
  const std::string run = "existing_cache " + kUntied + " --ids-file ids.json --max-new-tokens " +
                          std::to_string(test.at("expected").at("tokens").size());
  const ProgramRun ran = shell(run + " --stages 1:48,2:12");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json out = json::parse(ran.out);
  CHECK(out.at("tokens") == test.at("expected").at("tokens"));
  CHECK(out.at("cache_rows") == test.at("expected").at("cache_rows"));
  CHECK(out.at("pages").get<int>() < out.at("pages_uncut").get<int>());
}

TEST_CASE("a real model chats, in full and distilled, and shows what it kept", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  std::string document;
  for (int i = 0; i < 40; ++i)
    document +=
        "The committee met on day " + std::to_string(i) + " and agreed on nothing of note. ";
  document.insert(document.size() / 2, "The password of the archive is marzipan. ");
  shell.write("prompt.txt", document + "\n\nWhat is the password of the archive?");
  for (const std::string extra : {"",
                                  "--stages 14:200 --scorer window --heads 14:1,3 --pool 15 "
                                  "--protect-first 4 --html page.html"}) {
    const ProgramRun ran = shell("promptdistill-generate " + model->string() +
                                 " --chat --prompt-file prompt.txt --json out.json " + extra);
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    CHECK_THAT(ran.out, Catch::Matchers::Contains("marzipan"));
    const json out = shell.read("out.json");
    CHECK(out.at("text").get<std::string>() + "\n" == ran.out);
    CHECK(out.at("stop_reason") == "stop_token");
    const json& dtype = out.at("settings").at("dtype");  // what this machine is fast in
    CHECK((dtype == "bfloat16" || dtype == "float32"));
  }
  CHECK_THAT(read_bytes(shell.folder / "page.html"), Catch::Matchers::Contains("marzipan"));
}

TEST_CASE("tokenize goes there and back", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  const std::string tokenize = "promptdistill-tokenize " + model->string() + " ",
                    text = "Grüße, 世界 👩‍🚀!\n  x = 12345;";
  const ProgramRun ids = shell(tokenize, text);
  REQUIRE(ids.code == 0);
  CHECK(json::parse(shell(tokenize + "--decode", ids.out).out) == text);
  const ProgramRun chat = shell(tokenize + "--chat", "Hi");
  const json shown = json::parse(shell(tokenize + "--decode", chat.out).out);
  CHECK_THAT(shown.get<std::string>(),
             Catch::Matchers::EndsWith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"));
  CHECK_THAT(json::parse(shell(tokenize + "--decode --no-special-tokens", chat.out).out)
                 .get<std::string>(),
             !Catch::Matchers::Contains("<|im_start|>"));
  require_message(shell(tokenize + "--decode", "[1, 99999]"), 1, "99999");
  require_message(shell(tokenize + "--decode", "no json"), 1,
                  "standard input: the ids must be a JSON array");
  require_message(shell(tokenize, "\xff"), 1,
                  "standard input: the text must be valid UTF-8, it is not at byte 0");
  shell.write("prompt.txt", "ab\xff");
  require_message(shell("promptdistill-generate " + model->string() + " --prompt-file prompt.txt"),
                  1, "prompt.txt: the text must be valid UTF-8, it is not at byte 2");
  require_message(shell(tokenize + "--decode --chat"), 2, "--chat wraps text");
}

TEST_CASE("compare runs on a real model", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Shell shell;
  const std::string profile = " --profile " PROMPTDISTILL_PROFILES "/smollm2-135m-instruct.json";
  const ProgramRun compare = shell(
      "promptdistill-compare " + model->string() + profile +
      " --stages 14:64 --tokens 700,900 --runs 1 --new-tokens 4 --json out.json --html page.html");
  INFO(compare.err);
  REQUIRE(compare.code == 0);
  const json out = shell.read("out.json");
  const json& results = out.at("results");
  REQUIRE(results.size() == 10);  // of each prompt full attention, and two with a second question
  CHECK(results[0].at("stages").empty());
  CHECK(results[1].at("stages")[0].at("kept") == 65);
  CHECK(results[3].at("stages")[0].at("kept") == 532);
  CHECK(results[9].at("prompt_tokens") == 900);
  CHECK(results[1].at("cache_bytes") < results[0].at("cache_bytes"));
  CHECK(results[2].at("second_question") == true);
  CHECK(results[2].at("stages") == results[1].at("stages"));
  CHECK(results[2].at("time_to_first_token") < results[1].at("time_to_first_token"));
  CHECK_THAT(compare.out, Catch::Matchers::Contains("a second question"));
  CHECK_THAT(compare.out, Catch::Matchers::Contains("speed-up"));
  CHECK(fs::file_size(shell.folder / "page.html") > 5000);
  require_message(shell("promptdistill-compare " + model->string()), 2,
                  "give --profile, --stages or --method");
  require_message(shell("promptdistill-compare " + model->string() + profile + " --tokens 90000"),
                  1, "the document has");
}

}  // namespace
}  // namespace promptdistill::test
