#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How much memory the process has in RAM, now and at most, as Linux counts it.

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace promptdistill::examples {

/// A line of /proc/self/status such as VmRSS (now) or VmHWM (at most), in bytes; 0 where there is
/// none.
inline std::int64_t status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::int64_t kilobytes = 0;
    std::istringstream(line.substr(key.size() + 1)) >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

/// Counts the peak above what the process had in RAM at construction.
class PeakRss {
 public:
  PeakRss() {
    std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM begins anew, where that is allowed
    base_ = status_bytes("VmHWM");
  }

  /// Where the kernel would not let VmHWM begin anew this is the peak above the one before: less.
  std::int64_t above_base() const { return in_all() - base_; }
  std::int64_t in_all() const { return status_bytes("VmHWM"); }

 private:
  std::int64_t base_ = 0;
};

}  // namespace promptdistill::examples
