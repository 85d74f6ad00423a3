# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
#
# cmake -DBUILD=... -DPREFIX=... -P install.cmake: installs, then moves what was installed to PREFIX, where it must work.
file(REMOVE_RECURSE "${PREFIX}" "${PREFIX}-before")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${PREFIX}-before" COMMAND_ERROR_IS_FATAL ANY)
file(RENAME "${PREFIX}-before" "${PREFIX}")
file(GLOB_RECURSE files "${PREFIX}/share/*")
foreach(file IN LISTS files)
  file(READ "${file}" text)
  string(FIND "${text}" "${PREFIX}-before" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${file} names the folder it was installed to")
  endif()
endforeach()
execute_process(COMMAND "${PREFIX}/bin/promptdistill-inspect" --version COMMAND_ERROR_IS_FATAL ANY)
