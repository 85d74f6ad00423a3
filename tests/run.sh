#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
# tests/run.sh [argument of ctest]...: sets up what is missing, builds and runs all tests. The variables that
# examples/quickstart.sh --help names hold here as well.

# shellcheck source=../cmake/bootstrap.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../cmake/bootstrap.sh"
set_up dev

export PROMPTDISTILL_MODEL_DIR=$model PROMPTDISTILL_TOKENIZERS_DIR=$tokenizers
cd "$root" # ctest looks for its presets here.
exec ctest --preset dev --output-on-failure "$@"
