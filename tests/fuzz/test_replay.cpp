// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The fuzzers' corpus, a fixed set of mutations of it and a few long inputs, without libFuzzer.

#include <ATen/ATen.h>  // before Catch2: its CHECK is the one to have
#include <sys/resource.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

constexpr int kMutations = 20'000;  // a target
constexpr long kMemory = 128;       // MiB that a target may add to the process

using Target = void (*)(std::string_view input);

struct Input {
  std::string name;
  std::string bytes;
};

std::vector<Input> corpus(const std::string& target) {
  std::vector<Input> inputs;
  for (const auto& file : std::filesystem::directory_iterator(
           std::filesystem::path(PROMPTDISTILL_FUZZ_CORPUS) / target))
    inputs.push_back({file.path().filename(), read_bytes(file.path())});
  std::sort(inputs.begin(), inputs.end(),
            [](const Input& a, const Input& b) { return a.name < b.name; });
  return inputs;
}

std::string repeated(std::string_view unit, std::size_t times) {
  std::string text;
  for (; times > 0; --times) text += unit;
  return text;
}

/// Does what libFuzzer does most: changes, drops, doubles bytes and takes some of another input.
class Mutator {
 public:
  explicit Mutator(std::vector<Input> inputs) : inputs_(std::move(inputs)) {}

  std::string next() {
    std::string bytes = any();
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  const std::string& any() { return inputs_[below(inputs_.size())].bytes; }

  /// At most `most` bytes of `text`.
  std::string part(const std::string& text, std::size_t most) {
    return text.substr(below(text.size() + 1), below(most + 1));
  }

  void change(std::string& bytes) {
    static constexpr std::string_view kTelling = "[]{}\",:0123456789-.eE\\u \n\0\x7f\x80\xc3\xff";
    const std::size_t place = below(bytes.size() + 1);
    switch (below(6)) {
      case 0:
        if (place < bytes.size()) bytes[place] = static_cast<char>(random_());
        break;
      case 1:
        if (place < bytes.size()) bytes[place] = kTelling[below(kTelling.size())];
        break;
      case 2:
        bytes.insert(place, 1, kTelling[below(kTelling.size())]);
        break;
      case 3:
        bytes.erase(place, below(16));
        break;
      case 4:
        bytes.insert(place, part(bytes, 64));
        break;
      default:
        bytes.insert(place, part(any(), 32));
    }
  }

  std::vector<Input> inputs_;
  std::mt19937_64 random_{20260101};
};

long peak_memory() {  // MiB
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

void run(Target target, const std::string& name, const std::string& bytes) {
  INFO(name);  // what is known after a crash
  try {
    target(bytes);
  } catch (const std::exception& error) {
    const auto file = std::filesystem::temp_directory_path() / "promptdistill-finding";
    std::ofstream(file, std::ios::binary) << bytes;
    FAIL(error.what() << "; the input is in " << file);
  }
}

void replay(const std::string& target,
            Target function,
            const std::vector<std::string>& long_inputs) {
  const std::vector<Input> inputs = corpus(target);
  REQUIRE(inputs.size() > 10);
  run(function, "valid", inputs.back().bytes);
  const long before = peak_memory();
  for (const Input& input : inputs) run(function, input.name, input.bytes);
  Mutator mutator(inputs);
  for (int i = 0; i < kMutations; ++i)
    run(function, "mutation " + std::to_string(i), mutator.next());
  CHECK(peak_memory() - before < kMemory);
  for (const std::string& input : long_inputs) run(function, input.substr(0, 20) + "...", input);
}

const std::string kBrackets(100'000, '[');
const std::string kObjects = repeated("{\"a\":", 100'000);

TEST_CASE("safetensors headers load or are refused", "[fuzz]") {
  replay("safetensors", fuzz_safetensors,
         {safetensors(kBrackets, ""), safetensors(kObjects, ""),
          safetensors("{\"" + std::string(1'000'000, 'n') + "\":1}", "")});
}

TEST_CASE("config.json and profiles load or are refused", "[fuzz]") {
  replay("config", fuzz_config,
         {kBrackets, kObjects, "{\"model_type\":\"" + std::string(1'000'000, 'n') + "\"}"});
}

TEST_CASE("tokenizer.json loads and its ids decode, or is refused", "[fuzz]") {
  replay("tokenizer", fuzz_tokenizer, {kBrackets, kObjects, std::string(1'000'000, ' ')});
}

TEST_CASE("any text encodes and any ids decode", "[fuzz]") {
  std::vector<std::string> inputs;
  for (char tokenizer = 0; tokenizer < 13; ++tokenizer) {
    for (const char* unit : {"a", " ", "<s> ", "12", "\u4f60", "'s\n", "\xf0\x9f\x99"})
      inputs.push_back(std::string(1, tokenizer) + repeated(unit, 300'000));
  }
  replay("encode", fuzz_encode, inputs);
}

TEST_CASE("chat templates are known or refused", "[fuzz]") {
  replay("chat", fuzz_chat,
         {kBrackets, repeated("{%a%}", 300'000), repeated(" {%- a -%} ", 100'000),
          "{{" + repeated(".a", 300'000), repeated("\r\n", 300'000)});
}

}  // namespace
}  // namespace promptdistill::test
