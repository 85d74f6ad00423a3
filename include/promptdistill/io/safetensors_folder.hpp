#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// All tensors of a Hugging Face folder by name, in one file or in the shards that an index names.

#include <ATen/ATen.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "promptdistill/io/json_file.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/safetensors.hpp"

namespace promptdistill {

/// model.safetensors, else the shards of model.safetensors.index.json; all stay mapped, none is
/// read. Throws LoadError where a shard is missing, or shards and index disagree.
class SafetensorsFolder {
 public:
  static SafetensorsFolder open(const std::filesystem::path& folder) {
    SafetensorsFolder result;
    const std::filesystem::path single = folder / "model.safetensors",
                                index = folder / "model.safetensors.index.json";
    std::error_code error;
    if (std::filesystem::exists(single, error)) {
      result.path_ = single;
      result.add(SafetensorsFile::open(single));
    } else if (std::filesystem::exists(index, error)) {
      result.path_ = index;
      result.open_shards(folder, JsonObject::load(index));
    } else {
      throw LoadError(single, "the file",
                      "cannot be opened: neither it nor model.safetensors.index.json is there; "
                      "weights must be safetensors");
    }
    return result;
  }

  /// What a complaint about the whole should name: the single file or the index.
  const std::filesystem::path& path() const { return path_; }
  /// Where each tensor is.
  const std::map<std::string, std::shared_ptr<const SafetensorsFile>>& tensors() const {
    return tensors_;
  }
  bool contains(const std::string& name) const { return tensors_.contains(name); }

  /// Throws LoadError where there is no such tensor.
  const SafetensorsFile& file_of(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw LoadError(path_, "tensor " + name, "is missing");
    return *found->second;
  }

  /// Of all tensors together.
  std::size_t bytes() const {
    std::size_t total = 0;
    for (const auto& [name, file] : tensors_) total += file->entries().at(name).size;
    return total;
  }

 private:
  void add(SafetensorsFile file) {
    const auto shared = std::make_shared<const SafetensorsFile>(std::move(file));
    for (const auto& [name, entry] : shared->entries()) {
      const auto [place, fresh] = tensors_.emplace(name, shared);
      if (!fresh)
        throw LoadError(shared->path(), "tensor " + name,
                        "is in " + place->second->path().filename().string() + " already");
    }
  }

  void open_shards(const std::filesystem::path& folder, const JsonObject& index) {
    const JsonObject map = index.object("weight_map");
    std::map<std::string, std::string> shard_of;
    for (const auto& [name, value] : map.json().items()) {
      const auto shard = map.get<std::string>(name);
      // A name only: an index from a stranger must not lead out of the folder.
      if (shard.empty() || shard == "." || shard == ".." ||
          shard.find_first_of("/\\") != std::string::npos)
        map.fail(name, "must name a file of this folder, got " + JsonObject::shown(value));
      shard_of.emplace(name, shard);
    }
    std::set<std::string> opened;
    for (const auto& [name, shard] : shard_of) {
      if (opened.insert(shard).second) {
        std::error_code error;
        if (!std::filesystem::exists(folder / shard, error))
          map.fail(name, "names the shard " + shard + ", which is missing");
        add(SafetensorsFile::open(folder / shard));
      }
    }
    for (const auto& [name, shard] : shard_of) {
      const auto found = tensors_.find(name);
      if (found == tensors_.end() || found->second->path() != folder / shard)
        throw LoadError(folder / shard, "tensor " + name,
                        "is missing, though model.safetensors.index.json says it is there");
    }
    for (const auto& [name, file] : tensors_) {
      if (!shard_of.contains(name))
        throw LoadError(file->path(), "tensor " + name,
                        "is not named by model.safetensors.index.json");
    }
  }

  std::filesystem::path path_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> tensors_;
};

}  // namespace promptdistill
