// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Safetensors files as they should not be: each fault is a LoadError that names it, none is a
// crash.

#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "promptdistill/io/safetensors.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

std::string refusal(const std::filesystem::path& path) {
  const std::string text = message_of<LoadError>([&] { SafetensorsFile::open(path); });
  const std::string start = "promptdistill: " + path.string() + ": ";
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

std::string refusal_of(const std::string& bytes) {
  const TempDir dir;
  return refusal(dir.write("bad.safetensors", bytes));
}

/// A file of one tensor "w" with this entry and so many bytes of data.
std::string entry_refusal(const std::string& entry, std::size_t data = 8) {
  return refusal_of(safetensors("{\"w\":" + entry + "}", std::string(data, '\1')));
}

/// Opens a file and reads all of it. A LoadError is an answer, anything else is not.
bool loads(const std::filesystem::path& path) {
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const auto& [name, entry] : file.entries()) {
      const at::Tensor copy = file.tensor(name).clone();
      if (copy.nbytes() != entry.size) throw std::runtime_error("size of " + name);
    }
    return true;
  } catch (const LoadError&) {
    return false;
  }
}

TEST_CASE("what is not a regular file is refused", "[io]") {
  const TempDir dir;
  CHECK(refusal(dir.path()) == "the file must be a regular file");
  CHECK(refusal(dir / "none") == "the file cannot be opened: No such file or directory");
  CHECK(refusal("/dev/zero") == "the file must be a regular file");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK(refusal(dir / "fifo") == "the file must be a regular file");  // and nobody waits
  CHECK(refusal(dir.write("empty", "")) == "the file is cut short: it has 0 bytes and no header");
  CHECK(refusal(dir.write("seven", "1234567")) ==
        "the file is cut short: it has 7 bytes and no header");
}

TEST_CASE("an unreadable file is refused", "[io]") {
  const TempDir dir;
  const auto path = dir.write("x", safetensors("{}", ""));
  REQUIRE(::chmod(path.c_str(), 0) == 0);
  const bool root = ::geteuid() == 0;
  if (root && ::seteuid(65534) != 0) return;  // root reads everything and cannot be anyone else
  const std::string text = refusal(path);
  if (root) REQUIRE(::seteuid(0) == 0);
  CHECK(text == "the file cannot be opened: Permission denied");
}

TEST_CASE("a header that lies about its length is refused", "[io]") {
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{4}, std::uint64_t{99'999'999}, std::uint64_t{1} << 32,
        std::uint64_t{1} << 63, UINT64_MAX - 7, UINT64_MAX}) {
    const std::string text = refusal_of(little_endian(length) + "{}");
    if (length > 100'000'000) {
      CHECK(text == "the header must be at most 100 MB, got a length of " + std::to_string(length));
    } else {
      CHECK(text == "the header is cut short: it should have " + std::to_string(length) +
                        " bytes, the file has 2 after its length");
    }
  }
}

TEST_CASE("a header that is not a JSON object is refused", "[io]") {
  CHECK(refusal_of(safetensors("", "")).starts_with("the header must be JSON: "));
  CHECK(refusal_of(safetensors("{", "")).starts_with("the header must be JSON: "));
  CHECK(refusal_of(safetensors("{}{}", "")).starts_with("the header must be JSON: "));
  CHECK(refusal_of(safetensors("{\"\xff\":{}}", "")).starts_with("the header must be JSON: "));
  for (const char* other : {"[]", "null", "3", "\"x\"", "true"})
    CHECK(refusal_of(safetensors(other, "")) == "the header must be a JSON object");
}

TEST_CASE("a header nested too deep is refused at the first bracket too many", "[io]") {
  const std::string refused = "the header must nest at most 3 deep";
  const auto lists = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(refusal_of(safetensors(lists(1'000'000), "")) == refused);
  CHECK(refusal_of(safetensors(std::string(1'000'000, '['), "")) == refused);
  CHECK(refusal_of(safetensors("{\"w\":" + lists(1'000'000) + "}", "")) == refused);
  CHECK(refusal_of(safetensors(R"({"__metadata__":{"a":{"a":{}}}})", "")) == refused);
  CHECK(refusal_of(safetensors(R"({"__metadata__":{"a":{}}})", "")) ==
        "__metadata__ must be a JSON object of strings");
  for (const bool too_deep : {false, true}) {
    CHECK(entry_refusal(R"({"dtype":"F32","data_offsets":[0,8],"shape":)" +
                        lists(too_deep ? 2 : 1) + "}") ==
          (too_deep ? refused
                    : "tensor w must have as many bytes as its shape and dtype say, 4, got 8"));
  }
}

TEST_CASE("a name that is there twice is refused", "[io]") {
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  CHECK(refusal_of(safetensors("{\"w\":" + entry + ",\"w\":" + entry + "}", "1")) ==
        "tensor w is there twice");
  CHECK(refusal_of(safetensors("{\"w\":" + entry + ",\"\\u0077\":" + entry + "}", "1")) ==
        "tensor w is there twice");
}

TEST_CASE("metadata other than strings is refused", "[io]") {
  for (const char* bad : {"[]", "null", "1", R"({"a":1})", R"({"a":null})", R"({"a":{}})"})
    CHECK(refusal_of(safetensors("{\"__metadata__\":" + std::string(bad) + "}", "")) ==
          "__metadata__ must be a JSON object of strings");
}

TEST_CASE("an entry with a field missing or of the wrong type is refused", "[io]") {
  for (const char* bad : {"1", "null", "[]", "\"x\"", "{}"})
    CHECK(entry_refusal(bad) == "tensor w has no valid shape");
  for (const char* shape :
       {"null", "2", "\"2\"", "{}", "[-1]", "[2.0]", "[\"2\"]", "[null]", "[true]", "[1e3]",
        "[18446744073709551615]", "[18446744073709551616]", "[281474976710657]", "[-0]"}) {
    INFO(shape);
    CHECK(entry_refusal(R"({"dtype":"F32","data_offsets":[0,8],"shape":)" + std::string(shape) +
                        "}") == "tensor w has no valid shape");
  }
  for (const char* offsets : {"null", "8", "[]", "[0]", "[0,8,8]", "[8,0]", "[-8,0]", "[0,8.0]",
                              "[\"0\",8]", "{\"0\":0}", "[0,18446744073709551615]"}) {
    INFO(offsets);
    CHECK(entry_refusal(R"({"dtype":"F32","shape":[2],"data_offsets":)" + std::string(offsets) +
                        "}") == "tensor w has no valid data_offsets");
  }
  CHECK(entry_refusal(R"({"dtype":"F32","shape":[2]})") == "tensor w has no valid data_offsets");
  CHECK(entry_refusal(R"({"shape":[2],"data_offsets":[0,8]})") == "tensor w has no valid dtype");
  for (const char* dtype : {"null", "1", "[\"F32\"]"})
    CHECK(entry_refusal(R"({"shape":[2],"data_offsets":[0,8],"dtype":)" + std::string(dtype) +
                        "}") == "tensor w has no valid dtype");
  for (const char* dtype : {"f32", "F8_E4M3", "", "F32 ", "U16", "C64"})
    CHECK(entry_refusal(R"({"shape":[2],"data_offsets":[0,8],"dtype":")" + std::string(dtype) +
                        "\"}") ==
          "tensor w has dtype '" + std::string(dtype) +
              "', which is not supported; supported: F64, F32, F16, BF16 and whole numbers");
}

TEST_CASE("a shape must fit its bytes and its bytes the file", "[io]") {
  const auto entry = [](const std::string& shape, const std::string& offsets) {
    return R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  CHECK(entry_refusal(entry("[3]", "[0,8]")) ==
        "tensor w must have as many bytes as its shape and dtype say, 12, got 8");
  CHECK(entry_refusal(entry("[0]", "[0,8]")) ==
        "tensor w must have as many bytes as its shape and dtype say, 0, got 8");
  CHECK(entry_refusal(entry("[281474976710656,281474976710656]", "[0,0]")) ==
        "tensor w has a shape whose size overflows");
  CHECK(entry_refusal(entry("[4294967296,1073741824]", "[0,0]")) ==
        "tensor w has a shape whose size overflows");  // 2^64 bytes: 0 if it wrapped
  CHECK(entry_refusal(entry("[4]", "[0,16]")).starts_with("tensor w is cut short: it ends at "));
  CHECK(entry_refusal(entry("[281474976710656]", "[0,1125899906842624]")) ==
        "tensor w has no valid data_offsets");
  CHECK(entry_refusal(entry("[2]", "[281474976710648,281474976710656]"))
            .starts_with("tensor w is cut short"));
  CHECK(entry_refusal(entry("[0]", "[9,9]"), 8).starts_with("tensor w is cut short"));
}

TEST_CASE("an empty tensor of impossible strides is refused, not thrown on later", "[io]") {
  const std::string huge = "281474976710656";
  for (const std::string& shape : {"[0," + huge + "," + huge + "]", "[" + huge + ",0," + huge + "]",
                                   "[" + huge + "," + huge + ",0]"}) {
    INFO(shape);
    CHECK(entry_refusal(R"({"dtype":"F32","data_offsets":[0,0],"shape":)" + shape + "}", 0) ==
          "tensor w has a shape whose size overflows");
  }
}

TEST_CASE("tensors that overlap, leave a hole or leave bytes over are refused", "[io]") {
  const auto two = [](const std::string& a, const std::string& b, std::size_t data) {
    const auto entry = [](const std::string& begin_end) {
      const auto comma = begin_end.find(',');
      const auto size =
          std::stoll(begin_end.substr(comma + 1)) - std::stoll(begin_end.substr(0, comma));
      return R"({"dtype":"U8","shape":[)" + std::to_string(size) + R"(],"data_offsets":[)" +
             begin_end + "]}";
    };
    return refusal_of(
        safetensors("{\"a\":" + entry(a) + ",\"b\":" + entry(b) + "}", std::string(data, 'x')));
  };
  CHECK(two("0,4", "4,8", 8) == "nothing was thrown");
  CHECK(two("4,8", "0,4", 8) == "nothing was thrown");
  CHECK(two("0,8", "8,8", 8) == "nothing was thrown");
  CHECK(two("0,0", "0,8", 8) == "nothing was thrown");
  CHECK(two("0,4", "3,8", 8) == "tensor b overlaps another");
  CHECK(two("0,4", "0,4", 4) == "tensor b overlaps another");
  CHECK(two("0,8", "2,4", 8) == "tensor b overlaps another");
  CHECK(two("0,8", "3,3", 8) == "tensor b overlaps another");
  CHECK(two("0,4", "5,8", 8) == "tensor b leaves a hole before it");
  CHECK(two("1,4", "4,8", 8) == "tensor a leaves a hole before it");
  CHECK(two("0,4", "4,8", 9) == "the file has 1 bytes that belong to no tensor");
  CHECK(refusal_of(safetensors("{}", "x")) == "the file has 1 bytes that belong to no tensor");
}

std::string small_file() {
  return safetensors(NamedTensors{{"a", at::arange(3, at::kFloat)},
                                  {"b.c", at::ones({2, 2}, at::kBFloat16)},
                                  {"e", at::zeros({0, 3}, at::kChar)}},
                     {{"format", "pt"}});
}

TEST_CASE("a file cut at any byte is refused", "[io]") {
  const TempDir dir;
  const std::string whole = small_file();
  REQUIRE(loads(dir.write("x", whole)));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO(size << " of " << whole.size() << " bytes");
    const auto path = dir.write("x", whole.substr(0, size));
    CHECK(!loads(path));
    CHECK(contains(refusal(path), "cut short"));
  }
}

TEST_CASE("20,000 damaged files load or are refused", "[io]") {
  const TempDir dir;
  const std::string whole = small_file();
  std::mt19937_64 random(20260101);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  const std::string telling = "[]{}\",:0123456789-.eEFU\\u \xff";
  int loaded = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = whole;
    for (std::size_t damage = 1 + below(4); damage > 0; --damage) {
      // Mostly in the header, where a byte means something.
      const std::size_t place = below(bytes.size());
      switch (below(5)) {
        case 0:
          bytes[place] = static_cast<char>(random());
          break;
        case 1:
          bytes[place] = telling[below(telling.size())];
          break;
        case 2:
          bytes[place] = static_cast<char>(bytes[place] ^ (1 << below(8)));
          break;
        case 3:
          bytes.insert(place, 1, telling[below(telling.size())]);
          bytes[0] = static_cast<char>(bytes[0] + 1);  // the header's length goes along
          break;
        default:
          bytes.erase(place, 1);
          if (bytes.size() > 8) bytes[0] = static_cast<char>(bytes[0] - 1);
      }
      if (bytes.size() < 9) break;
    }
    if (loads(dir.write("x", bytes))) ++loaded;  // anything but a LoadError fails the test
  }
  CHECK(loaded > 500);  // damage to the data alone is not seen, so some must load
  CHECK(loaded < 15'000);
}

}  // namespace
}  // namespace promptdistill::test
