// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-ask as a user runs it: questions on the command line, in a file, at its prompt.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "examples/common/chat_frame.hpp"
#include "tests/examples/shell.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

/// About 700 tokens with a fact in them.
std::string document() {
  std::string text;
  for (int day = 1; day <= 60; ++day) {
    if (day == 25) text += "The keeper hides the spare key under the blue flowerpot. ";
    text += "On day " + std::to_string(day) + " the sea was calm and the light was lit at dusk. ";
  }
  return text + "That was all.";
}

const std::string kWhere = "Where does the keeper hide the spare key?";

/// A shell with the document, and how ask is called there.
struct Asking {
  explicit Asking(const std::filesystem::path& model)
      : ask("promptdistill-ask " + model.string() + " --stages 14:200 --threads 1 ") {
    shell.write("document.txt", document());
  }
  Shell shell;
  std::string ask;
};

TEST_CASE("a chat's frame is what the format writes around the user's texts", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const ChatFormat format = ChatFormat::load(*model);
  const std::string sly = "be\x1a kind \x1a";  // has what the frame is found by
  for (const std::optional<std::string_view> system :
       {std::optional<std::string_view>(), std::optional<std::string_view>(sly)}) {
    const auto frame = examples::ChatFrame::of(format, system);
    CHECK(frame.head + "Q" + frame.foot == format.prompt("Q", system));
    std::vector<ChatMessage> turns{{"user", "Q"}, {"assistant", "A"}, {"user", "R"}};
    if (system) turns.insert(turns.begin(), {"system", sly});
    CHECK(frame.head + "Q" + frame.foot + "A" + frame.turn + "R" + frame.foot ==
          format.render(turns));
  }
}

TEST_CASE("ask answers as generate answers the whole prompt", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Asking asking(*model);
  const Shell& shell = asking.shell;
  const ProgramRun ran = shell(asking.ask +
                               "--document document.txt --state document.state --dtype float32 "
                               "--max-new-tokens 16 --json out.json '" +
                               kWhere + "' 'What was lit at dusk?'");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  CHECK_THAT(ran.out, Contains("> " + kWhere) && Contains("blue flowerpot"));
  const json out = shell.read("out.json");
  REQUIRE(out.at("answers").size() == 2);
  const char* const questions[] = {kWhere.c_str(), "What was lit at dusk?"};
  for (std::size_t q = 0; q < 2; ++q) {
    shell.write("whole.txt", document() + "\n\n" + questions[q]);
    const ProgramRun whole =
        shell("promptdistill-generate " + model->string() +
              " --stages 14:200 --threads 1 --chat --prompt-file whole.txt --dtype float32 "
              "--max-new-tokens 16 --json whole.json");
    REQUIRE(whole.code == 0);
    const json expected = shell.read("whole.json"), &answer = out.at("answers")[q];
    CHECK(answer.at("tokens") == expected.at("tokens"));
    CHECK(answer.at("text") == expected.at("text"));
    CHECK(answer.at("stages")[0].at("kept_positions") ==
          expected.at("stages")[0].at("kept_positions"));
    CHECK(answer.at("own_cache_bytes") < answer.at("cache_bytes"));
  }
  CHECK(out.at("document").at("layer") == 14);
  CHECK(out.at("document").contains("read_seconds"));
  // From the file: the same answer without the document.
  shell.write("questions.txt", kWhere + "\r\n\n");
  const std::string again = asking.ask +
                            "--state document.state --dtype float32 --max-new-tokens 16 "
                            "--questions questions.txt --json again.json";
  const ProgramRun loaded = shell(again);
  INFO(loaded.err);
  REQUIRE(loaded.code == 0);
  CHECK_THAT(loaded.err, Contains("loaded"));
  CHECK(shell.read("again.json").at("answers")[0].at("tokens") ==
        out.at("answers")[0].at("tokens"));
  CHECK(shell.read("again.json").at("document").contains("load_seconds"));
  const ProgramRun piped = shell(asking.ask +
                                     "--state document.state --dtype float32 --max-new-tokens 16 "
                                     "--json piped.json",
                                 kWhere + "\n");
  REQUIRE(piped.code == 0);
  CHECK(shell.read("piped.json").at("answers")[0].at("tokens") ==
        out.at("answers")[0].at("tokens"));
}

TEST_CASE("a next turn knows what was said, by either way", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Asking asking(*model);
  for (const std::string turns : {"fresh", "select", "append"}) {
    INFO(turns);
    const ProgramRun ran =
        asking.shell(asking.ask + "--document document.txt --max-new-tokens 20 --json " + turns +
                     ".json --turns " + turns + " '" + kWhere + "' 'What colour is it?'");
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    const json answers = asking.shell.read(turns + ".json").at("answers");
    REQUIRE(answers.size() == 2);
    CHECK(answers[1].at("stages").size() == (turns == "append" ? 0 : 1));
    if (turns != "fresh")
      CHECK_THAT(answers[1].at("text").get<std::string>(), Contains("blue") || Contains("Blue"));
  }
}

TEST_CASE("the prompt of ask edits lines, has commands and outlives mistakes", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  if (std::system("script --version >/dev/null 2>&1") != 0) {
    WARN("skipped: script (util-linux) is not installed");
    return;
  }
  const Asking asking(*model);
  asking.shell.write("document.txt", document());
  // Typed ahead, all of it.
  asking.shell.write("typed", "/kept\n" + kWhere +
                                  "\n/stats\n/kept\n/save\n/save here.state\n/save /no/there\n"
                                  "/turns never\n/turns append\n/café €\n/help\n/quit\n");
  asking.shell.write("type.sh", "exec script -qec \"" PROMPTDISTILL_BIN_DIR "/" + asking.ask +
                                    "--document document.txt --max-new-tokens 12 --json out.json\" "
                                    "/dev/null <typed >seen\n");
  const ProgramRun ran = asking.shell("promptdistill-ask --version >/dev/null; sh type.sh");
  REQUIRE(ran.code == 0);
  const std::string seen = read_bytes(asking.shell.folder / "seen");
  INFO(seen);
  for (const char* words :
       {"Ask about the document", "nothing was asked yet", "blue flowerpot", "tok/s", "layer 14: 2",
        "/save needs a file", "saved to here.state",
        "cannot write /no/there: No such file or directory", "/turns takes fresh, select or append",
        "no such command: /café", "forget the conversation"})
    CHECK_THAT(seen, Contains(words));
  CHECK(asking.shell.read("out.json").at("answers").size() == 1);
  CHECK(std::filesystem::exists(asking.shell.folder / "here.state"));
}

TEST_CASE("ask says what is wrong, where and what to do", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Asking asking(*model);
  const Shell& shell = asking.shell;
  const auto refused = [&](const std::string& arguments, int code, const std::string& message) {
    INFO(arguments);
    require_message(shell(asking.ask + arguments), code, message);
  };
  refused("question", 2, "--document or --state must say what to ask");
  refused("--state none.state question", 2, "is not there yet: give --document");
  refused("--document document.txt --questions q question", 2, "not both");
  refused("--document - ", 2, "standard input cannot be both");
  refused("--document none.txt question", 1, "none.txt");
  refused("--document document.txt --questions none.txt", 1, "none.txt");
  refused("--document document.txt --max-new-tokens 8100 --room 9000 question", 2,
          "leaves no room for a question");
  refused("--document document.txt --room 10 --max-new-tokens 10 question", 2, "--room 10");
  refused("--document document.txt --temperature -1 question", 2, "temperature");
  // Before anything is read, so that no document is read in vain.
  refused("--document none.txt --json /no/file question", 1, "cannot write /no/file");
  refused("--document none.txt --state /no/file question", 1, "cannot write /no/file");
  require_message(shell("promptdistill-ask " + model->string() + " --document document.txt q"), 2,
                  "--stages or --profile must say where to select");
  // States of something else.
  REQUIRE(shell(asking.ask + "--document document.txt --state s --max-new-tokens 1 q").code == 0);
  shell.write("other.txt", "Another text.");
  refused("--document other.txt --state s q", 1, "holds another document");
  require_message(shell("promptdistill-ask " + model->string() + " --stages 7:64 --state s q"), 2,
                  "was read to layer 14, behind the first stage at layer 7");
  refused("--state s --dtype float16 q", 1, "as the model");  // which is no machine's own choice
  refused("--state s --room 3000 q", 2,
          "was read for 2048 tokens after the document, --room asks for 3000: read it again");
  refused("--state s --max-new-tokens 2048 q", 2, "leave no room for a question");
  std::string bytes = read_bytes(shell.folder / "s");
  bytes[bytes.size() / 2] ^= 1;
  shell.write("s", bytes);
  refused("--state s q", 1, "is damaged");
  shell.write("s", bytes.substr(0, 1000));
  refused("--state s q", 1, "cut short");
}

}  // namespace
}  // namespace promptdistill::test
