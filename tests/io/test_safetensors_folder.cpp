// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Sharded checkpoints: what index and shards must agree on, and offsets beyond 4 GiB.

#include "promptdistill/io/safetensors_folder.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

using Json = nlohmann::json;

void write_index(const TempDir& dir, const Json& map) {
  dir.write("model.safetensors.index.json",
            Json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
}

void write_shards(const TempDir& dir) {
  dir.write("one.safetensors", safetensors({{"a", at::ones({2})}, {"b", at::zeros({3})}}));
  dir.write("two.safetensors", safetensors({{"c", at::full({4}, 7.0)}}));
  write_index(dir, {{"a", "one.safetensors"}, {"b", "one.safetensors"}, {"c", "two.safetensors"}});
}

std::string refusal(const TempDir& dir) {
  const std::string text = message_of<LoadError>([&] { SafetensorsFolder::open(dir.path()); });
  const std::string start = "promptdistill: " + dir.path().string() + "/";
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

TEST_CASE("shards are found through their index", "[io]") {
  const TempDir dir;
  write_shards(dir);
  const SafetensorsFolder folder = SafetensorsFolder::open(dir.path());
  CHECK(folder.tensors().size() == 3);
  CHECK(folder.bytes() == 9 * 4);
  CHECK(folder.path() == dir / "model.safetensors.index.json");
  CHECK(folder.file_of("c").path() == dir / "two.safetensors");
  CHECK(at::equal(folder.file_of("c").tensor("c"), at::full({4}, 7.0)));
  CHECK(message_of<LoadError>([&] { folder.file_of("d"); }) ==
        "promptdistill: " + (dir / "model.safetensors.index.json").string() +
            ": tensor d is missing");
  dir.write("model.safetensors", safetensors({{"a", at::ones({1})}}));
  CHECK(SafetensorsFolder::open(dir.path()).tensors().size() == 1);  // goes before an index
}

TEST_CASE("an index and its shards must agree", "[io]") {
  const TempDir dir;
  write_shards(dir);
  const std::string index = "model.safetensors.index.json: ";
  std::filesystem::remove(dir / "two.safetensors");
  CHECK(refusal(dir) ==
        index + "key weight_map.c names the shard two.safetensors, which is missing");
  dir.write("two.safetensors", safetensors({{"c", at::ones({1})}, {"d", at::ones({1})}}));
  CHECK(refusal(dir) == "two.safetensors: tensor d is not named by model.safetensors.index.json");
  dir.write("two.safetensors", safetensors({{"e", at::ones({1})}}));
  CHECK(refusal(dir) ==
        "two.safetensors: tensor c is missing, though model.safetensors.index.json says it is "
        "there");
  dir.write("two.safetensors", safetensors({{"c", at::ones({1})}, {"a", at::ones({1})}}));
  CHECK(refusal(dir) == "two.safetensors: tensor a is in one.safetensors already");
  dir.write("two.safetensors", "short");
  CHECK(refusal(dir).starts_with("two.safetensors: the file is cut short"));
  for (const char* out : {"../one.safetensors", "/etc/passwd", "a\\b", "", ".", ".."}) {
    write_index(dir, {{"a", out}});
    CHECK(refusal(dir).starts_with(index + "key weight_map.a must name a file of this folder"));
  }
  write_index(dir, {{"a", 3}});
  CHECK(refusal(dir) == index + "key weight_map.a must be a string, got 3");
  dir.write("model.safetensors.index.json", R"({"weight_map":[]})");
  CHECK(contains(refusal(dir), "must be a JSON object"));
  dir.write("model.safetensors.index.json", "{}");
  CHECK(refusal(dir) == index + "key weight_map is missing");
  dir.write("model.safetensors.index.json", "{\"weight_map\":");
  CHECK(contains(refusal(dir), "must be JSON"));
}

TEST_CASE("a folder without weights says which file is missing", "[io]") {
  const TempDir dir;
  CHECK(refusal(dir).starts_with("model.safetensors: the file cannot be opened"));
}

TEST_CASE("offsets and sizes beyond 4 GiB reach the right bytes", "[io]") {
  const TempDir dir;
  constexpr std::int64_t kFirst = (std::int64_t{5} << 30) + 2, kSecond = std::int64_t{1} << 20;
  const std::string header =
      Json{{"first", {{"dtype", "BF16"}, {"shape", {kFirst / 2}}, {"data_offsets", {0, kFirst}}}},
           {"second",
            {{"dtype", "F16"},
             {"shape", {kSecond / 2}},
             {"data_offsets", {kFirst, kFirst + kSecond}}}}}
          .dump();
  const std::filesystem::path path = dir.write("model.safetensors", safetensors(header, ""));
  const auto data = static_cast<std::int64_t>(8 + header.size());
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(data + kFirst + kSecond));
  const auto put = [&](std::int64_t offset, const std::string& bytes) {  // all else stays a hole
    std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(data + offset);
    out << bytes;
  };
  put(kFirst - 2, "\x80\x3f");                          // bfloat16 1
  put(kFirst, std::string("\0\x40", 2));                // float16 2
  put(kFirst + kSecond - 2, std::string("\0\x42", 2));  // float16 3
  const SafetensorsFile file = SafetensorsFile::open(path);
  const at::Tensor first = file.tensor("first"), second = file.tensor("second");
  CHECK(first.numel() == kFirst / 2);
  CHECK(first[-1].item<float>() == 1);
  CHECK(first[-2].item<float>() == 0);
  CHECK(second[0].item<float>() == 2);
  CHECK(second[-1].item<float>() == 3);
  CHECK(SafetensorsFolder::open(dir.path()).bytes() == static_cast<std::size_t>(kFirst + kSecond));
  file.release("first");
  CHECK(first[-1].item<float>() == 1);  // comes back from the file
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(data + kFirst + kSecond - 1));
  CHECK(contains(message_of<LoadError>([&] { SafetensorsFile::open(path); }), "is cut short"));
}

}  // namespace
}  // namespace promptdistill::test
