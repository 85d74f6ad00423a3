#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The version, read from here by CMake as well.

namespace promptdistill {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace promptdistill
