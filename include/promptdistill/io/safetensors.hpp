#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A safetensors file mapped into memory: tensors are views of the mapping.

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"

namespace promptdistill {

namespace detail {

/// A private mapping of a whole file. Pages are read when touched; a write stays in this process
/// (copy on write).
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path) {
    // O_NONBLOCK: to open a FIFO would otherwise wait for a writer.
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
      throw LoadError(path, "the file", std::string("cannot be opened: ") + std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    size_ = regular ? static_cast<std::size_t>(status.st_size) : 0;
    void* address = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_NORESERVE, file, 0)
                              : nullptr;
    const int error = errno;
    ::close(file);
    if (!regular) throw LoadError(path, "the file", "must be a regular file");
    if (address == MAP_FAILED)
      throw LoadError(path, "the file", std::string("cannot be mapped: ") + std::strerror(error));
    data_ = static_cast<std::byte*>(address);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }

  std::byte* data() const { return data_; }

  /// Drops the whole pages within [begin, begin + size) that nobody wrote to.
  void release(std::size_t begin, std::size_t size) const {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t first = (begin + page - 1) / page * page, last = (begin + size) / page * page;
    if (first < last) ::madvise(data_ + first, last - first, MADV_DONTNEED);
  }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace detail

/// The format: 8 bytes of little-endian header length, a JSON header, the data. Checked whole on
/// opening: every entry's dtype, shape and place, no overlap, no hole, nothing cut short.
/// https://huggingface.co/docs/safetensors
///
/// The file must not shrink while tensors of it live: touching a page that is gone ends the process
/// (SIGBUS).
class SafetensorsFile {
 public:
  struct Entry {
    at::ScalarType dtype;
    std::vector<std::int64_t> shape;
    std::size_t begin;  // bytes from the start of the file
    std::size_t size;   // bytes
  };

  /// Throws LoadError naming the file and, where one is at fault, the tensor.
  static SafetensorsFile open(const std::filesystem::path& path) { return SafetensorsFile(path); }

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return entries_.contains(name); }

  /// Bytes of the file.
  std::size_t bytes() const { return file_->size(); }

  /// Lets go of the pages that reading a tensor brought into memory; a later read brings them back.
  /// For tensors that were converted or copied to a device: the file's copy need not stay beside.
  void release(const std::string& name) const {
    const Entry& entry = entries_.at(name);
    file_->release(entry.begin, entry.size);
  }

  /// A view that keeps the mapping alive (a copy where the file places it against its dtype's
  /// alignment).
  at::Tensor tensor(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) throw LoadError(path_, "tensor " + name, "is missing");
    const Entry& entry = found->second;
    const auto options = at::TensorOptions().dtype(entry.dtype);
    const std::size_t width = at::elementSize(entry.dtype);
    if (entry.begin % width != 0) {
      at::Tensor copy = at::empty(entry.shape, options);
      if (entry.size > 0)
        std::memcpy(copy.mutable_data_ptr(), file_->data() + entry.begin, entry.size);
      return copy;
    }
    return at::from_blob(
        file_->data() + entry.begin, entry.shape, [file = file_](void*) {}, options);
  }

 private:
  static constexpr std::size_t kMaxHeader = 100'000'000;  // the reference implementation's bound
  static constexpr int kMaxDepth = 3;                     // the file, a tensor, its shape

  explicit SafetensorsFile(const std::filesystem::path& path)
      : path_(path), file_(std::make_shared<detail::MappedFile>(path)) {
    if (file_->size() < 8)
      throw LoadError(
          path_, "the file",
          "is cut short: it has " + std::to_string(file_->size()) + " bytes and no header");
    std::uint64_t header = 0;
    for (int i = 7; i >= 0; --i)
      header = header << 8 | std::to_integer<std::uint64_t>(file_->data()[i]);
    if (header > kMaxHeader)
      throw LoadError(path_, "the header",
                      "must be at most 100 MB, got a length of " + std::to_string(header));
    if (header > file_->size() - 8) {
      throw LoadError(path_, "the header",
                      "is cut short: it should have " + std::to_string(header) +
                          " bytes, the file has " + std::to_string(file_->size() - 8) +
                          " after its length");
    }
    read_entries(parse(header), 8 + header);
    check_places(8 + header);
  }

  nlohmann::json parse(std::size_t size) const {
    const auto* text = reinterpret_cast<const char*>(file_->data() + 8);
    std::set<std::string> names;
    std::string repeated;
    using Event = nlohmann::json::parse_event_t;
    const auto check = [&](int depth, Event event, nlohmann::json& value) {
      // Refused at the first bracket too many: a value a bracket takes 70 times the file's memory.
      if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxDepth)
        throw LoadError(path_, "the header",
                        "must nest at most " + std::to_string(kMaxDepth) + " deep");
      if (event == Event::key && depth == 1 && !names.insert(value.get<std::string>()).second)
        repeated = value.get<std::string>();
      return true;
    };
    nlohmann::json json;
    try {
      json = nlohmann::json::parse(text, text + size, check);
    } catch (const nlohmann::json::exception& error) {
      throw LoadError(path_, "the header", std::string("must be JSON: ") + error.what());
    }
    if (!repeated.empty()) throw LoadError(path_, "tensor " + repeated, "is there twice");
    if (!json.is_object()) throw LoadError(path_, "the header", "must be a JSON object");
    return json;
  }

  void read_entries(const nlohmann::json& json, std::size_t data) {
    for (const auto& item : json.items()) {
      const std::string& name = item.key();
      const nlohmann::json& value = item.value();
      if (name == "__metadata__") {
        if (!value.is_object())
          throw LoadError(path_, "__metadata__", "must be a JSON object of strings");
        for (const auto& [key, text] : value.items()) {
          if (!text.is_string())
            throw LoadError(path_, "__metadata__", "must be a JSON object of strings");
          metadata_.emplace(key, text.get<std::string>());
        }
        continue;
      }
      const auto fail = [&](const std::string& problem) {
        throw LoadError(path_, "tensor " + name, problem);
      };
      const auto field = [&](const char* key, bool right) {
        if (!right) fail(std::string("has no valid ") + key);
      };
      const auto naturals = [&](const char* key) {
        std::vector<std::int64_t> numbers;
        field(key, value.is_object() && value.contains(key) && value[key].is_array());
        for (const auto& number : value[key]) {
          field(key, number.is_number_unsigned() && number.get<std::uint64_t>() <= std::uint64_t{1}
                                                                                       << 48);
          numbers.push_back(number.get<std::int64_t>());
        }
        return numbers;
      };
      Entry entry;
      entry.shape = naturals("shape");
      const std::vector<std::int64_t> offsets = naturals("data_offsets");
      field("data_offsets", offsets.size() == 2 && offsets[0] <= offsets[1]);
      field("dtype", value.contains("dtype") && value["dtype"].is_string());
      entry.dtype = scalar_type(name, value["dtype"].get<std::string>());
      // A size of 0 counts as 1 at first: strides must not overflow even where there is no data.
      auto bytes = static_cast<std::int64_t>(at::elementSize(entry.dtype));
      bool empty = false;
      for (const std::int64_t size : entry.shape) {
        empty = empty || size == 0;
        if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes))
          fail("has a shape whose size overflows");
      }
      if (empty) bytes = 0;
      if (bytes != offsets[1] - offsets[0]) {
        fail("must have as many bytes as its shape and dtype say, " + std::to_string(bytes) +
             ", got " + std::to_string(offsets[1] - offsets[0]));
      }
      entry.begin = data + static_cast<std::size_t>(offsets[0]);
      entry.size = static_cast<std::size_t>(bytes);
      if (entry.begin + entry.size > file_->size()) {
        fail("is cut short: it ends at byte " + std::to_string(entry.begin + entry.size) +
             ", the file at " + std::to_string(file_->size()));
      }
      entries_.emplace(name, std::move(entry));
    }
  }

  void check_places(std::size_t data) const {
    std::vector<std::pair<std::size_t, const std::string*>> order;
    for (const auto& [name, entry] : entries_) order.emplace_back(entry.begin, &name);
    std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
      return std::pair(a.first, entries_.at(*a.second).size) <
             std::pair(b.first, entries_.at(*b.second).size);
    });
    std::size_t end = data;
    for (const auto& [begin, name] : order) {
      if (begin != end)
        throw LoadError(path_, "tensor " + *name,
                        begin < end ? "overlaps another" : "leaves a hole before it");
      end = begin + entries_.at(*name).size;
    }
    if (end != file_->size())
      throw LoadError(
          path_, "the file",
          "has " + std::to_string(file_->size() - end) + " bytes that belong to no tensor");
  }

  at::ScalarType scalar_type(const std::string& name, const std::string& text) const {
    static const std::map<std::string, at::ScalarType> kTypes{
        {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16},
        {"I64", at::kLong},   {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},
        {"U8", at::kByte},    {"BOOL", at::kBool}};
    const auto found = kTypes.find(text);
    if (found == kTypes.end())
      throw LoadError(path_, "tensor " + name,
                      "has dtype '" + text +
                          "', which is not supported; supported: F64, F32, "
                          "F16, BF16 and whole numbers");
    return found->second;
  }

  std::filesystem::path path_;
  std::shared_ptr<detail::MappedFile> file_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace promptdistill
