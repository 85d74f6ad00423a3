// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include <ATen/ATen.h>

#include <cstring>

#include "promptdistill/io/safetensors.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

/// Touches every byte that the file says a tensor has.
void read_all(const SafetensorsFile& file, std::size_t size) {
  for (const auto& [name, entry] : file.entries()) {
    require(entry.begin <= size && entry.size <= size - entry.begin, "a tensor lies in its file");
    const at::Tensor tensor = file.tensor(name);
    require(tensor.nbytes() == entry.size && tensor.sizes() == entry.shape &&
                tensor.scalar_type() == entry.dtype && tensor.is_contiguous(),
            "a tensor is what its entry says");
    if (entry.size == 0) continue;
    const std::string bytes(static_cast<const char*>(tensor.const_data_ptr()), entry.size);
    require(std::memcmp(bytes.data(), tensor.const_data_ptr(), entry.size) == 0, "bytes are bytes");
    require(reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % tensor.element_size() == 0,
            "a tensor is aligned");
  }
}

void open(const TempDir& folder, const std::string& bytes) {
  const auto path = folder.write("model.safetensors", bytes);
  loads(path, [&] { read_all(SafetensorsFile::open(path), bytes.size()); });
}

}  // namespace

void fuzz_safetensors(std::string_view input) {
  static const TempDir folder;
  open(folder, std::string(input));
  // Most mutations make the header's length wrong, and nothing behind it would be reached.
  const std::size_t end = input.rfind('}');
  if (input.size() < 8 || end == input.npos || end < 8) return;
  open(folder,
       safetensors(std::string(input.substr(8, end - 7)), std::string(input.substr(end + 1))));
}

}  // namespace promptdistill::test
