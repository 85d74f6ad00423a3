// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Files that are written whole or not at all, and found damaged down to a bit.

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "promptdistill/io/save_safetensors.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

using Catch::Matchers::Contains;
using Tensors = std::map<std::string, at::Tensor>;
namespace fs = std::filesystem;

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

Tensors some_tensors() {
  return {{"a", at::arange(6, at::kFloat).view({2, 3})},
          {"b", at::arange(5).to(at::kBFloat16)},
          {"c", at::tensor({-1, 7}, at::kLong)},
          {"empty", at::zeros({0, 4})},
          {"turned", at::arange(6, at::kInt).view({2, 3}).t()},
          {"yes", at::ones({3}, at::kBool)}};
}

TEST_CASE("XXH64 is the specification's, in pieces of any size", "[io]") {
  std::string counted;
  for (int i = 0; i < 1280; ++i) counted += static_cast<char>(i % 256);
  for (const auto& [text, expected] : std::map<std::string, std::uint64_t>{
           {"", 0xef46db3751d8e999},
           {"a", 0xd24ec4f1a98c6e5b},
           {"abc", 0x44bc2cf5ad770999},
           {"Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1},
           {counted, 0xafc184ad7938a354}}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{33}, text.size()}) {
      detail::Xxh64 hash;
      for (std::size_t i = 0; i < text.size(); i += piece)
        hash.add(text.data() + i, std::min(piece, text.size() - i));
      CHECK(hash.value() == expected);
    }
  }
}

TEST_CASE("what was saved is loaded, every tensor and setting", "[io]") {
  const TempDir dir;
  const Tensors tensors = some_tensors();
  save_safetensors(dir / "file", tensors, {{"key", "a \"value\""}, {"other", ""}});
  CHECK(files_in(dir.path()) == 1);
  const SafetensorsFile file = SafetensorsFile::open(dir / "file");
  CHECK(file.metadata().at("key") == "a \"value\"");
  CHECK(file.metadata().at("other").empty());
  const Tensors loaded = checked_tensors(file);
  REQUIRE(loaded.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    CHECK(loaded.at(name).scalar_type() == tensor.scalar_type());
    CHECK(at::equal(loaded.at(name), tensor));
  }
  CHECK_THAT(message_of<c10::ValueError>([&] {
               save_safetensors(dir / "file", {{"z", at::zeros({1}, at::kComplexFloat)}}, {});
             }),
             Contains("tensor z has dtype"));
  checked_tensors(SafetensorsFile::open(dir / "file"));
  dir.write("file", safetensors({{"a", at::ones({2})}}));
  CHECK_THAT(message_of<LoadError>([&] { checked_tensors(SafetensorsFile::open(dir / "file")); }),
             Contains("has no checksum"));
}

TEST_CASE("a file that is altered anywhere or cut anywhere is refused", "[io]") {
  const TempDir dir;
  save_safetensors(dir / "file", some_tensors(), {{"key", "value"}});
  const std::string whole = read_bytes(dir / "file");
  const Tensors expected = some_tensors();
  const auto load = [&](const std::string& bytes) {
    return checked_tensors(SafetensorsFile::open(dir.write("file", bytes)));
  };
  load(whole);
  std::size_t unseen = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      try {
        // White space of the header may change, what it says may not.
        const Tensors loaded = load(bytes);
        ++unseen;
        for (const auto& [name, tensor] : expected) CHECK(at::equal(loaded.at(name), tensor));
      } catch (const LoadError&) {
      }
    }
  }
  CHECK(unseen <= 16);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_THROWS_AS(load(whole.substr(0, size)), LoadError);
}

TEST_CASE("a file that cannot be written leaves the old one and nothing else", "[io]") {
  const TempDir dir;
  save_safetensors(dir / "file", {{"a", at::zeros({4})}}, {});
  const std::string old = read_bytes(dir / "file");
  const Tensors large{{"a", at::ones({1 << 18})}};
  const auto save = [&](const fs::path& path) {
    return message_of<SaveError>([&] { save_safetensors(path, large, {}); });
  };
  // A disk that is full: writes beyond 64 KiB fail.
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = before;
  limit.rlim_cur = 1 << 16;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const std::string full = save(dir / "file");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, handler);
  CHECK(full == "promptdistill: cannot write " + (dir / "file").string() + ": File too large");
  CHECK(read_bytes(dir / "file") == old);
  CHECK(files_in(dir.path()) == 1);
  CHECK_THAT(save("/dev/full"), Contains("No space left on device"));
  CHECK_THAT(save(dir / "no" / "file"), Contains("No such file or directory"));
  CHECK_THAT(save(dir.path()), Contains("cannot write"));
  CHECK_THAT(save(""), Contains("cannot write ''"));
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("a replaced file keeps its permissions, a link stays a link", "[io]") {
  const TempDir dir;
  const fs::path file = dir.write("file", "old");
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("file", dir / "link");
  save_safetensors(dir / "link", some_tensors(), {});
  CHECK(fs::is_symlink(dir / "link"));
  CHECK((fs::status(file).permissions() & fs::perms::mask) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  checked_tensors(SafetensorsFile::open(file));

  const ReplaceFile next(file);
  for (const auto& entry : fs::directory_iterator(dir.path()))
    CHECK((entry.is_symlink() ||
           (entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
               fs::perms::none));
  CHECK(files_in(dir.path()) == 3);
}

TEST_CASE("a new file has the permissions that the umask leaves", "[io]") {
  const TempDir dir;
  const mode_t before = ::umask(027);
  save_safetensors(dir / "file", some_tensors(), {});
  ::umask(before);
  CHECK((fs::status(dir / "file").permissions() & fs::perms::mask) ==
        (fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read));
}

TEST_CASE("a writer killed at any moment leaves the old file or the new one", "[io]") {
  const TempDir dir;
  const fs::path path = dir / "file";
  const auto tensors = [](float value) {
    return Tensors{{"a", at::full({1 << 20}, value)}, {"b", at::full({3}, value)}};
  };
  const auto start = std::chrono::steady_clock::now();
  save_safetensors(path, tensors(0), {});
  const auto once = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  std::mt19937_64 random(7);
  std::size_t replaced = 0;
  for (int attempt = 0; attempt < 50; ++attempt) {
    const Tensors next = tensors(static_cast<float>(attempt + 1));
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) save_safetensors(path, next, {});
    }
    REQUIRE(child > 0);
    std::this_thread::sleep_for(once * static_cast<std::int64_t>(random() % 4096) / 1024);
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const Tensors found = checked_tensors(SafetensorsFile::open(path));
    const auto value = found.at("b")[0].item<float>();
    CHECK(at::equal(found.at("a"), at::full({1 << 20}, value)));
    if (value == static_cast<float>(attempt + 1)) ++replaced;
  }
  CHECK(replaced > 0);  // some were killed after their first file, else nothing was tried
  CHECK(replaced < 50);
}

}  // namespace
}  // namespace promptdistill::test
