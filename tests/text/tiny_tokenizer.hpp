#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Small tokenizers in temporary folders, and the golden file of the real one.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "promptdistill/io/load_error.hpp"

namespace promptdistill::test {

using Ids = std::vector<std::int64_t>;

/// A folder of its own that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto base = std::filesystem::temp_directory_path();
    std::string name = (base / "promptdistill-text-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void write(const char* file, std::string_view text) const {
    std::ofstream(path_ / file, std::ios::binary) << text;
  }

 private:
  std::filesystem::path path_;
};

/// Ids 0..5 are a b c Ġ 1 !, then ab, abc, Ġa, bc; 10 is <s>, special.
inline nlohmann::json tiny_tokenizer() {
  return nlohmann::json::parse(R"json({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 10, "content": "<s>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
      "byte_fallback": false, "ignore_merges": false,
      "vocab": {"a": 0, "b": 1, "c": 2, "\u0120": 3, "1": 4, "!": 5, "ab": 6, "abc": 7,
                "\u0120a": 8, "bc": 9},
      "merges": [["a", "b"], ["\u0120", "a"], ["b", "c"], ["ab", "c"]]}
  })json");
}

/// An added token that is not special.
inline nlohmann::json added_token(std::int64_t id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", false}};
}

template <class Type>
Type load_from(const char* file, std::string_view text) {
  const TemporaryFolder folder;
  folder.write(file, text);
  return Type::load(folder.path());
}

/// The message of the LoadError that loading must throw.
template <class Type>
std::string load_error(const TemporaryFolder& folder) {
  try {
    Type::load(folder.path());
  } catch (const LoadError& error) {
    return error.what();
  }
  return "no LoadError";
}

template <class Type>
std::string load_error(const char* file, std::string_view text) {
  const TemporaryFolder folder;
  folder.write(file, text);
  return load_error<Type>(folder);
}

inline nlohmann::json smollm2_golden() {
  std::ifstream in(std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "text/smollm2.json");
  return nlohmann::json::parse(in);
}

}  // namespace promptdistill::test
