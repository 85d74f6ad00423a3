// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-inspect as a user runs it: any folder with a config.json, and against what
// promptdistill-generate measures.

#include <ATen/ATen.h>  // before Catch2: its CHECK is the one to have

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/examples/shell.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using nlohmann::json;

const fs::path kTiny = fs::path(PROMPTDISTILL_GOLDEN_DIR) / "method" / "tiny-llama3rope";

/// Llama-3.1-70B's numbers, as its config.json gives them.
constexpr const char* kLlama70B = R"({"model_type": "llama", "hidden_size": 8192,
  "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
  "intermediate_size": 28672, "vocab_size": 128256, "max_position_embeddings": 131072,
  "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
  "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})";

struct Inspect {
  Shell shell;

  ProgramRun operator()(const std::string& arguments) const {
    return shell("promptdistill-inspect " + arguments);
  }
  json data(const std::string& arguments) const {
    const ProgramRun ran = (*this)(arguments + " --json -");
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    return json::parse(ran.out);  // nothing else on standard output
  }
  void check_message(const std::string& arguments, int code, const std::string& message) const {
    require_message((*this)(arguments), code, message);
  }
};

std::string without_line_breaks(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const char next = c == '\n' ? ' ' : c;
    if (next != ' ' || (!out.empty() && out.back() != ' ')) out += next;
  }
  return out;
}

std::size_t longest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

TEST_CASE("inspect plans 70B at 128K from a config alone", "[examples]") {
  const Inspect inspect;
  fs::create_directory(inspect.shell.folder / "Llama-3.1-70B");
  inspect.shell.folder.write("Llama-3.1-70B/config.json", kLlama70B);
  const std::string arguments =
      "Llama-3.1-70B/ --prompt-tokens 131072 --stages 32:4096,48:1024 --truncate all";
  const ProgramRun ran = inspect(arguments + " --json out.json");
  INFO(ran.err << ran.out);
  REQUIRE(ran.code == 0);
  CHECK(ran.out.starts_with("Llama-3.1-70B\n"));
  CHECK(longest_line(ran.out) <= 100);
  const std::string text = without_line_breaks(ran.out);
  for (const char* part :
       {"80 layers, hidden 8,192, 64 query and 8 KV heads of 128, MLP 28,672, vocabulary 128,256",
        "parameters 70,553,706,496", "context 131,072 tokens",
        "llama3, theta 500000, factor 8 (low 1, high 4) over an original context of 8,192",
        "weights not in this folder", "tokenizer not in this folder",
        "chat format not in this folder", "full attention all 40.5 PFLOP 1.00x 40.1 GiB",
        "PromptDistill 32:4097 48:1025", "GemFilter 48:1024", "SnapKV all",
        "layers 0 to 48 read the prompt, the 1,024 tokens", "cut to 1,024 + 32 rows per KV head",
        "0 to 31 131,072 131,072 1,025"}) {
    CHECK_THAT(text, Contains(part));
  }
  const json out = json::parse(read_bytes(inspect.shell.folder / "out.json"));
  CHECK(out == inspect.data(arguments));
  CHECK(out.at("model").at("parameters") == 70'553'706'496);
  CHECK(out.at("model").at("weights").is_null());
  CHECK(out.at("request").at("dtype") == "bfloat16");
  CHECK(out.at("request").at("room") == 0);  // the context is full
  CHECK(out.at("request").at("beyond_context") == false);
  CHECK(out.at("request").at("weight_bytes") == 2 * 70'553'706'496);
  const json& plans = out.at("plans");
  REQUIRE(plans.size() == 4);
  CHECK(plans[0].at("cache_bytes") ==
        2LL * 80 * 8 * 128 * 131072 * 2 + 80LL * 131072 * 8);  // and the positions
  CHECK(plans[0].at("speed_up") == 1.0);
  CHECK(plans[0].at("layers").size() == 80);
  CHECK(plans[1].at("layers")[0].at("cache_rows") == 1025);
  CHECK(plans[1].at("layers")[40].at("tokens") == 4097);
  CHECK(plans[1].at("speed_up") > 2.0);
  CHECK(plans[2].at("method") == "GemFilter");
  CHECK(plans[3].at("layers")[0].at("cache_rows") == 1056);

  const json other = inspect.data(
      "Llama-3.1-70B --prompt-tokens 1000 --batch 2 --dtype float32 --max-new-tokens 7 "
      "--stages 32:10% --budget 50 --gem-layer 20 --placement after");
  CHECK(other.at("plans")[0].at("cache_bytes") == 2LL * 1007 * 80 * (2 * 8 * 128 * 4 + 8));
  CHECK(other.at("plans")[1].at("kept_per_stage") == "32:101");
  CHECK(other.at("plans")[2].at("kept_per_stage") == "20:50");
  CHECK(other.at("plans")[3].at("layers")[0].at("cache_rows") == 82);
  CHECK(other.at("request").at("placement") == "after");
}

TEST_CASE("inspect plans without stages, and beyond the context", "[examples]") {
  const Inspect inspect;
  const std::string folder = kTiny.string();
  const ProgramRun plain = inspect(folder + " --prompt-tokens 300 --max-new-tokens 400");
  REQUIRE(plain.code == 0);
  CHECK_THAT(plain.out, Contains("room for 212 more"));  // of a context of 512
  CHECK_THAT(plain.out, Contains("--stages LAYER:TOKENS") && Contains("layer by layer"));
  CHECK(inspect.data(folder + " --prompt-tokens 300").at("plans").size() == 1);
  CHECK(inspect.data(folder + " --prompt-tokens 300 --budget 30").at("plans").size() == 2);
  const ProgramRun beyond = inspect(folder + " --prompt-tokens 600 --stages 2:16");
  REQUIRE(beyond.code == 0);
  CHECK_THAT(beyond.out, Contains("beyond the context of 512 tokens"));
  CHECK_THAT(beyond.out, Contains("room for 64 more"));
  const json billion = inspect.data(folder + " --prompt-tokens 1000000000 --stages 2:16");
  CHECK(billion.at("plans")[0].at("peak_bytes") > std::int64_t{1} << 40);
  CHECK(billion.at("plans")[1].at("speed_up") > 1.0);
}

TEST_CASE("inspect tells what a folder holds and what is wrong with it", "[examples]") {
  const Inspect inspect;
  json data = inspect.data(kTiny.string()).at("model");
  CHECK(data.at("weights").at("parameters") == data.at("parameters"));
  CHECK(data.at("weights").at("dtypes") == json{"float32"});
  CHECK(data.at("tokenizer").is_null());

  const TempDir& folder = inspect.shell.folder;
  fs::copy(kTiny, folder / "model", fs::copy_options::recursive);
  folder.write("model/tokenizer.json", "{");
  folder.write("model/chat_template.jinja", "{{ raise_exception('no') }}");
  fs::resize_file(folder / "model/model.safetensors", 9000);
  const ProgramRun damaged = inspect("model --prompt-tokens 100");
  REQUIRE(damaged.code == 0);
  const std::string text = without_line_breaks(damaged.out);
  CHECK_THAT(text, Contains("weights cannot be used: model.safetensors: "));
  CHECK_THAT(text, Contains("tokenizer cannot be used: tokenizer.json: "));
  CHECK_THAT(text, Contains("chat format cannot be used: chat_template.jinja: "));
  CHECK_THAT(text, Contains("float32"));  // by config.json
  data = inspect.data("model").at("model");
  CHECK_THAT(data.at("weights").at("problem").get<std::string>(), Contains("is cut short"));

  // Shards: counted together; a missing one is named.
  fs::remove(folder / "model/model.safetensors");
  folder.write("model/model.safetensors.index.json",
               R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  folder.write("model/one.safetensors",
               safetensors(R"({"a":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]}})",
                           std::string(12, '\0')));
  CHECK_THAT(without_line_breaks(inspect("model").out),
             Contains("weights cannot be used: model.safetensors.index.json: key weight_map."));
  folder.write("model/two.safetensors",
               safetensors(R"({"b":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}})",
                           std::string(8, '\0')));
  CHECK_THAT(without_line_breaks(inspect("model").out),
             Contains("20 B in float16, 2 files; 10 parameters, against config.json's"));
}

TEST_CASE("inspect refuses what it cannot plan", "[examples]") {
  const Inspect inspect;
  const std::string tiny = kTiny.string() + " ";
  inspect.check_message("", 2, "model_dir");
  for (const char* tokens : {"0", "-5", "many", "1e9"})
    inspect.check_message(tiny + "--prompt-tokens " + tokens, 2, "--prompt-tokens");
  inspect.check_message(tiny + "--prompt-tokens 9 --batch 0", 2, "--batch");
  inspect.check_message(tiny + "--prompt-tokens 9 --dtype int8", 2, "--dtype");
  inspect.check_message(tiny + "--prompt-tokens 9 --budget 0", 2, "--budget");
  inspect.check_message(tiny + "--prompt-tokens 9 --stages nonsense", 2, "must read LAYER:BUDGET");
  inspect.check_message(tiny + "--prompt-tokens 9 --truncate all", 2, "need --stages");
  inspect.check_message(tiny + "--stages 2:16", 2, "give --prompt-tokens");
  inspect.check_message(tiny + "--batch 2", 2, "give --prompt-tokens");
  inspect.check_message(tiny + "--prompt-tokens 9 --stages 9:4", 1,
                        "the model has layers 0 to 4, got 9");
  inspect.check_message(tiny + "--prompt-tokens 9 --stages 2:4 --gem-layer 5", 1,
                        "GemFilter's layer must exist: the model has layers 0 to 4, got 5");
  inspect.check_message(tiny + "--prompt-tokens 9 --stages 2:4 --scorer last --heads 2:6", 1,
                        "query heads 0 to 5, got 6");
  inspect.check_message(tiny + "--prompt-tokens 1000000000000 --batch 1000000000", 1, "below 2^63");
  inspect.check_message(tiny + "--json /nonexistent/out.json", 1, "cannot write");
  inspect.check_message("nowhere", 1, "nowhere/config.json");
  inspect.shell.folder.write("config.json", R"({"model_type": "mamba"})");
  inspect.check_message(".", 1, "key model_type");
  const ProgramRun help = inspect("--help");
  CHECK(help.code == 0);
  CHECK_THAT(help.out, Contains("Examples:") && Contains("--gem-layer") && Contains("--stages"));
}

TEST_CASE("what inspect plans for a real model is what generate measures", "[examples][real]") {
  const auto model = real_model();
  if (!model) return;
  const Inspect inspect;
  const json description = inspect.data(model->string()).at("model");
  CHECK(description.at("parameters") == 134'515'008);
  CHECK(description.at("weights").at("parameters") == 134'515'008);
  CHECK(description.at("tokenizer").at("tokens") == 49152);
  CHECK(description.at("chat_format").at("end_of_turn") == "<|im_end|>");
  CHECK(longest_line(inspect(model->string()).out) <= 100);
  std::mt19937_64 random(5);
  for (const std::int64_t tokens : {2000, 4096}) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < tokens; ++i)
      ids.push_back(static_cast<std::int64_t>(random() % 49152));
    inspect.shell.folder.write("ids.json", json(ids).dump());
    for (const std::string settings :
         {"--profile none", "--profile " PROMPTDISTILL_PROFILES "/smollm2-135m-instruct.json",
          "--profile " PROMPTDISTILL_PROFILES "/smollm2-135m-instruct-calibrated.json"}) {
      const std::string arguments = model->string() + " --max-new-tokens 2 " + settings;
      const ProgramRun ran =
          inspect.shell("promptdistill-generate " + arguments + " --ids-file ids.json --json -");
      INFO(tokens << " tokens, " << settings << "\n" << ran.err);
      REQUIRE(ran.code == 0);
      const json measured = json::parse(ran.out);
      const json plans =
          inspect
              .data(arguments + " --prompt-tokens " + std::to_string(tokens) + " --dtype " +
                    measured.at("settings").at("dtype").get<std::string>())
              .at("plans");
      const json& plan = settings == "--profile none" ? plans.at(0) : plans.at(1);
      CHECK(plan.at("cache_bytes") == measured.at("memory").at("cache"));
      CHECK(plan.at("peak_bytes").get<double>() / measured.at("memory").at("peak").get<double>() ==
            Approx(1).margin(0.1));
      for (std::size_t l = 0; l < 30; ++l)
        CHECK(plan.at("layers").at(l).at("cache_rows") == measured.at("cache_rows").at(l));
    }
  }
}

}  // namespace
}  // namespace promptdistill::test
