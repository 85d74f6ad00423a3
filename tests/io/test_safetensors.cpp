// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Safetensors files as they should be: every dtype and shape, alignment, lifetime and privacy of
// the views.

#include <optional>

#include "promptdistill/io/safetensors.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

NamedTensors one_of_each() {
  NamedTensors tensors;
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                     at::kInt, at::kShort, at::kChar, at::kByte, at::kBool}) {
    const std::string name = dtype_name(dtype);
    const at::Tensor numbers = at::arange(-3, 9, at::kFloat);
    const bool natural = dtype == at::kByte;
    tensors.emplace_back(name, (natural ? numbers.abs() : numbers).to(dtype).view({3, 4}));
    tensors.emplace_back(name + ".scalar", at::scalar_tensor(7, at::kFloat).to(dtype));
    tensors.emplace_back(name + ".empty", at::zeros({2, 0, 5}, dtype));
  }
  return tensors;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b);
}

TEST_CASE("every dtype reads as it was written, whatever the header's length", "[io]") {
  const TempDir dir;
  const NamedTensors tensors = one_of_each();
  for (std::size_t spaces = 0; spaces < 9; ++spaces) {
    const std::string bytes = safetensors(tensors, {}, spaces);
    const SafetensorsFile file = SafetensorsFile::open(dir.write("all.safetensors", bytes));
    REQUIRE(file.entries().size() == tensors.size());
    for (const auto& [name, expected] : tensors) {
      INFO(name << " with " << spaces << " spaces");
      REQUIRE(file.contains(name));
      CHECK(same(file.tensor(name), expected));
      CHECK(file.tensor(name).is_contiguous());
      CHECK(file.entries().at(name).shape == expected.sizes().vec());
      CHECK(file.entries().at(name).size == expected.nbytes());
      const auto address = reinterpret_cast<std::uintptr_t>(file.tensor(name).const_data_ptr());
      CHECK(address % at::elementSize(expected.scalar_type()) == 0);
    }
  }
}

TEST_CASE("an aligned tensor is a view, one against its alignment a copy", "[io]") {
  const TempDir dir;
  const NamedTensors tensors{{"x", at::arange(6, at::kFloat)}};
  for (std::size_t spaces = 0; spaces < 4; ++spaces) {
    const SafetensorsFile file =
        SafetensorsFile::open(dir.write("x.safetensors", safetensors(tensors, {}, spaces)));
    const at::Tensor first = file.tensor("x"), second = file.tensor("x");
    CHECK((first.const_data_ptr() == second.const_data_ptr()) == (spaces == 0));
    CHECK(same(first, tensors[0].second));
    CHECK(same(second, tensors[0].second));
  }
}

TEST_CASE("metadata is read, and a file of nothing but it is a file", "[io]") {
  const TempDir dir;
  const auto file = SafetensorsFile::open(
      dir.write("a", safetensors(NamedTensors{}, {{"format", "pt"}, {"note", "äöü 漢"}})));
  CHECK(file.entries().empty());
  CHECK(file.metadata() ==
        std::map<std::string, std::string>{{"format", "pt"}, {"note", "äöü 漢"}});
  CHECK(SafetensorsFile::open(dir.write("b", safetensors("{}", ""))).metadata().empty());
  CHECK(SafetensorsFile::open(dir.write("c", safetensors("{\"__metadata__\":{}}", "")))
            .metadata()
            .empty());
}

TEST_CASE("entries may come in any order and carry any name", "[io]") {
  const TempDir dir;
  const std::string header = R"({"":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                             R"("π \" \u0000":{"shape":[],"data_offsets":[0,1],"dtype":"I8"}})";
  const auto file = SafetensorsFile::open(dir.write("a", safetensors(header, "\x05\x06\x07")));
  CHECK(at::equal(file.tensor(""), at::tensor({6, 7}, at::kByte)));
  CHECK(file.tensor(std::string("π \" \0", 6)).item<std::int64_t>() == 5);
  CHECK(message_of<LoadError>([&] { file.tensor("w"); }) ==
        "promptdistill: " + (dir / "a").string() + ": tensor w is missing");
}

TEST_CASE("views outlive the file object and the file's name", "[io]") {
  const at::Tensor expected = at::rand({100, 100});
  std::optional<at::Tensor> view;
  {
    const TempDir dir;
    const auto path = dir.write("x", safetensors(NamedTensors{{"x", expected}}));
    const SafetensorsFile copy = SafetensorsFile::open(path);
    view = SafetensorsFile(copy).tensor("x")[50];
  }
  CHECK(at::equal(*view, expected[50]));
}

TEST_CASE("a write to a view stays in the process, and out of other mappings", "[io]") {
  const TempDir dir;
  const std::string bytes = safetensors(NamedTensors{{"x", at::ones({4})}}, {}, 0);
  const auto path = dir.write("x", bytes);
  const SafetensorsFile file = SafetensorsFile::open(path), other = SafetensorsFile::open(path);
  file.tensor("x").fill_(9);
  CHECK(at::equal(other.tensor("x"), at::ones({4})));
  CHECK(read_bytes(path) == bytes);
}

}  // namespace
}  // namespace promptdistill::test
