#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The version, read from here by CMake as well.

#define PROMPTDISTILL_VERSION "0.1.0"
