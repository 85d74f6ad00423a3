#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Writes a safetensors file with a checksum over all that it says, whole or not at all.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/replace_file.hpp"
#include "promptdistill/io/safetensors.hpp"
#include "promptdistill/io/xxh64.hpp"

namespace promptdistill {

namespace detail {

inline constexpr const char* kChecksumKey = "xxh64";

/// 16 hexadecimal digits: XXH64 over names and values of the metadata, and of each tensor the name,
/// dtype, shape and bytes.
inline std::string checksum(const std::map<std::string, std::string>& metadata,
                            const std::map<std::string, at::Tensor>& tensors) {
  Xxh64 hash;
  const auto add = [&](const std::string& text) {
    const auto size = static_cast<std::uint64_t>(text.size());
    hash.add(&size, sizeof size);
    hash.add(text.data(), text.size());
  };
  for (const auto& [key, value] : metadata) {
    if (key == kChecksumKey) continue;
    add(key);
    add(value);
  }
  for (const auto& [name, tensor] : tensors) {
    add(name);
    add(at::toString(tensor.scalar_type()));
    for (const std::int64_t size : tensor.sizes()) hash.add(&size, sizeof size);
    hash.add(tensor.const_data_ptr(), tensor.nbytes());
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash.value()));
  return text;
}

}  // namespace detail

/// Throws SaveError, the old file untouched, where the disk is full or the path cannot be written,
/// and c10::ValueError on a dtype that the format lacks here. Tensors of a device are copied to the
/// host, others are written from where they are unless their elements do not lie side by side.
inline void save_safetensors(const std::filesystem::path& path,
                             std::map<std::string, at::Tensor> tensors,
                             std::map<std::string, std::string> metadata) {
  static const std::map<at::ScalarType, const char*> kNames{
      {at::kDouble, "F64"}, {at::kFloat, "F32"}, {at::kHalf, "F16"},  {at::kBFloat16, "BF16"},
      {at::kLong, "I64"},   {at::kInt, "I32"},   {at::kShort, "I16"}, {at::kChar, "I8"},
      {at::kByte, "U8"},    {at::kBool, "BOOL"}};
  nlohmann::json header;
  std::size_t end = 0;
  for (auto& [name, tensor] : tensors) {
    const auto dtype = kNames.find(tensor.scalar_type());
    TORCH_CHECK_VALUE(dtype != kNames.end(), "promptdistill: tensor ", name, " has dtype ",
                      tensor.scalar_type(), ", which cannot be saved");
    tensor = tensor.to(at::kCPU).contiguous();
    header[name] = {{"dtype", dtype->second},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {end, end + tensor.nbytes()}}};
    end += tensor.nbytes();
  }
  metadata[detail::kChecksumKey] = detail::checksum(metadata, tensors);
  header["__metadata__"] = metadata;
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begins at a multiple of 8
  ReplaceFile file(path);
  const auto size = static_cast<std::uint64_t>(text.size());
  file.write(&size, sizeof size);
  file.write(text.data(), text.size());
  for (const auto& [name, tensor] : tensors) file.write(tensor.const_data_ptr(), tensor.nbytes());
  file.commit();
}

/// All tensors of a file that save_safetensors wrote, as views of its mapping. Throws LoadError
/// where the file is not what was written, down to a single bit.
inline std::map<std::string, at::Tensor> checked_tensors(const SafetensorsFile& file) {
  const auto stated = file.metadata().find(detail::kChecksumKey);
  if (stated == file.metadata().end())
    throw LoadError(file.path(), "the file", "has no checksum: promptdistill did not write it");
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, entry] : file.entries()) tensors.emplace(name, file.tensor(name));
  if (detail::checksum(file.metadata(), tensors) != stated->second)
    throw LoadError(file.path(), "the file",
                    "is damaged: its checksum is not that of what it holds");
  return tensors;
}

}  // namespace promptdistill
