# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
#
# What our own programs and tests are built with, and users are not: warnings, ccache, mold, a precompiled header.

add_library(promptdistill_developer INTERFACE)
target_compile_options(promptdistill_developer INTERFACE -Wall -Wextra -Wpedantic)
target_link_libraries(promptdistill_developer INTERFACE promptdistill_model promptdistill_text fmt::fmt-header-only)
if(TARGET torch_cuda)
  target_compile_definitions(promptdistill_developer INTERFACE PROMPTDISTILL_CUDA)
endif()
# Torch's own folder holds fmt 12 beside Debian's fmt 9: header-only works with whichever is found first.
find_package(fmt REQUIRED)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # ccache needs to be told that a precompiled header's time stamps and macros may be trusted.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  target_compile_options(promptdistill_developer INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()
find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
  target_link_options(promptdistill_developer INTERFACE -fuse-ld=mold)
endif()

# ATen and JSON once for all programs and tests; they take longer than everything of ours.
file(WRITE "${PROJECT_BINARY_DIR}/precompiled.cpp" "// Holds the precompiled header.\n")
add_library(promptdistill_precompiled OBJECT "${PROJECT_BINARY_DIR}/precompiled.cpp")
target_link_libraries(promptdistill_precompiled PRIVATE promptdistill_developer)
target_precompile_headers(promptdistill_precompiled PRIVATE <ATen/ATen.h> <fmt/format.h> <nlohmann/json.hpp>)

# promptdistill_program(<target> <sources>): an executable of ours.
function(promptdistill_program target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE promptdistill_developer)
  target_precompile_headers(${target} REUSE_FROM promptdistill_precompiled)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
endfunction()
