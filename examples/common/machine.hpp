#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a measurement was made with: processor, device, threads, versions, and this very program.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "promptdistill/version.hpp"

namespace promptdistill::examples {

/// 16 hexadecimal digits: 64-bit FNV-1a.
inline std::string short_hash(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

namespace detail {

/// The value of the first "key : value" line of a file of /proc.
inline std::string proc_value(const std::filesystem::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

inline std::string gpu_name(at::Device device) {
  std::vector<std::filesystem::path> gpus;
  std::error_code none;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", none))
    gpus.push_back(gpu.path() / "information");
  std::sort(gpus.begin(), gpus.end());
  const auto index = static_cast<std::size_t>(device.has_index() ? device.index() : 0);
  return index < gpus.size() ? proc_value(gpus[index], "Model") : "";
}

}  // namespace detail

inline nlohmann::json describe_machine(at::Device device) {
  nlohmann::json machine{{"cpu", detail::proc_value("/proc/cpuinfo", "model name")},
                         {"cores", std::thread::hardware_concurrency()},
                         {"device", device.str()}};
  if (!device.is_cpu()) machine["gpu"] = detail::gpu_name(device);
  return machine;
}

/// The program as it runs: a rebuilt one has another hash.
inline nlohmann::json describe_program() {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(self), {}};
  return {{"promptdistill", kVersion}, {"torch", TORCH_VERSION}, {"binary", short_hash(bytes)}};
}

/// Waits until the device has done all that was asked of it, so that a clock tells the truth.
inline void synchronize(at::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type())
      .synchronizeDevice(device.has_index() ? device.index() : c10::DeviceIndex{0});
}

}  // namespace promptdistill::examples
