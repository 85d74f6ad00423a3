#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Breaks one operator, bound or constant of core/, policy/ and baseline/ at a time and expects a test to fail.

    python3 tests/mutate.py build/dev --count 150 --jobs 2 --json mutants.json

BUILD is a configured and built folder (preset dev). A mutant is a copy of one header in a folder of its own that comes
first on the include path; the test files that cover the header are compiled against it, linked and run. Killed: a test
fails, crashes or hangs. A mutant that does not compile is none, nor is one of EQUIVALENT. Sites are drawn in turn from every header (--seed), so
that a short run sees all of them. Ends with 1 where fewer than --at-least of the mutants are killed.
"""

import argparse
import concurrent.futures
import json
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include" / "promptdistill"

# Which test files see a header's mistakes, quickest first; the program they belong to is their folder's.
COVER = {
    "core/retention.hpp": ["core/test_retention.cpp"],
    "core/token_frame.hpp": ["core/test_token_frame.cpp"],
    "core/kv_cache.hpp": ["core/test_kv_cache.cpp"],
    "core/layer_cache.hpp": ["core/test_layer_cache.cpp", "core/test_kv_cache.cpp"],
    "core/schedule.hpp": ["core/test_schedule.cpp"],
    "core/distill.hpp": ["core/test_distill.cpp"],
    "core/layer_probe.hpp": ["core/test_distill.cpp"],
    "policy/attention_scores.hpp": ["policy/test_scorers.cpp", "policy/test_selection.cpp"],
    "policy/head_weighted.hpp": ["policy/test_scorers.cpp", "policy/test_selection.cpp"],
    "policy/last_query_scorer.hpp": ["policy/test_scorers.cpp", "policy/test_selection.cpp"],
    "policy/observation_window_scorer.hpp": ["policy/test_scorers.cpp", "policy/test_selection.cpp"],
    "policy/raw_window_scorer.hpp": ["policy/test_selection.cpp"],
    "policy/pooled.hpp": ["policy/test_scorers.cpp", "policy/test_selection.cpp"],
    "policy/skip_last.hpp": ["policy/test_selection.cpp"],
    "policy/top_k.hpp": ["policy/test_selection.cpp"],
    "baseline/attention_mass.hpp": ["baseline/test_cache_policies.cpp", "golden/test_rivals.cpp"],
    "baseline/fast_kv.hpp": ["baseline/test_method.cpp", "golden/test_rivals.cpp"],
    "baseline/gem_filter.hpp": ["baseline/test_method.cpp", "golden/test_rivals.cpp"],
    "baseline/h2o.hpp": ["baseline/test_cache_policies.cpp", "golden/test_rivals.cpp"],
    "baseline/snap_kv.hpp": ["baseline/test_cache_policies.cpp", "golden/test_rivals.cpp"],
    "baseline/streaming_llm.hpp": ["baseline/test_cache_policies.cpp", "golden/test_rivals.cpp"],
}

# What no test can see, and why: (header, the broken line).
EQUIVALENT = {
    ("policy/top_k.hpp", "return tokens >= kept ? tokens - kept : 0;"): "both sides are 0 where they are equal",
    ("baseline/fast_kv.hpp", "if (best + tail > tokens) return {};"): "where they are equal every token stays either way",
}

MUTATIONS = [
    (r" <= ", [" < "]),
    (r" < ", [" <= "]),
    (r" >= ", [" > "]),
    (r" > ", [" >= "]),
    (r" == ", [" != "]),
    (r" != ", [" == "]),
    (r" && ", [" || "]),
    (r" \|\| ", [" && "]),
    (r" \+ ", [" - "]),
    (r" - ", [" + "]),
    (r" / ", [" * "]),
    (r" % ", [" / "]),
    (r"\bstd::min\b", ["std::max"]),
    (r"\bstd::max\b", ["std::min"]),
    (r"\btrue\b", ["false"]),
    (r"\bfalse\b", ["true"]),
    (r"(?<=[(\[ ,])0(?=[)\], ;])", ["1"]),
    (r"(?<=[(\[ ,])1(?=[)\], ;])", ["0", "2"]),
    (r"(?<=[(\[ ,])2(?=[)\], ;])", ["1"]),
    (r"\+\+(?=\w)", ["--"]),
]


def masked(line):
    """The line with strings and comments blanked out, of the same length."""
    line = re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: '"' + "_" * (len(m[0]) - 2) + '"', line)
    line = re.sub(r"/\*.*?\*/", lambda m: " " * len(m[0]), line)
    return re.sub(r"//.*", lambda m: " " * len(m[0]), line)


def sites(header):
    """(line number, begin, end, replacement) of everything that can be broken."""
    found = []
    for number, line in enumerate((HEADERS / header).read_text().splitlines()):
        code = masked(line)
        if re.match(r"\s*(#|template|static_assert|namespace|using )", code):
            continue
        for pattern, replacements in MUTATIONS:
            for match in re.finditer(pattern, code):
                found += [(number, match.start(), match.end(), text) for text in replacements]
    return found


class Build:
    """How the build folder compiles and links its tests."""

    def __init__(self, folder):
        self.folder = folder.resolve()
        commands = json.loads((self.folder / "compile_commands.json").read_text())
        self.compile = {entry["file"]: entry for entry in commands}
        self.links = {}
        self.lock = threading.Lock()

    def compile_command(self, source, overlay, output):
        entry = self.compile[str(ROOT / "tests" / source)]
        words = shlex.split(entry["command"])
        words[words.index("-o") + 1] = str(output)
        return [words[0], f"-I{overlay}", *words[1:], "-O0", "-w"]

    def link_command(self, source, objects, output):
        program = "test-" + source.split("/")[0]
        with self.lock:
            if program not in self.links:
                lines = subprocess.run(["ninja", "-t", "commands", "bin/" + program], cwd=self.folder, check=True,
                                       capture_output=True, text=True).stdout.splitlines()
                self.links[program] = shlex.split(lines[-1].removeprefix(": && ").removesuffix(" && :"))
        words = [word for word in self.links[program]
                 if not (word.endswith(".o") and f"/{program}.dir/" in word)]
        words[words.index("-o") + 1] = str(output)
        return [words[0], *map(str, objects), *words[1:]]

    def test(self, source, overlay, folder, seconds):
        """passes, fails or does not compile."""
        obj, program = folder / "mutant.o", folder / "mutant"
        done = subprocess.run(self.compile_command(source, overlay, obj), cwd=self.folder, capture_output=True)
        if done.returncode:
            return "does not compile"
        subprocess.run(self.link_command(source, [obj], program), cwd=self.folder, check=True, capture_output=True)
        try:
            done = subprocess.run([program, "~[real]~[.]", "--abort"], cwd=folder, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return "fails"
        return "fails" if done.returncode else "passes"


def run(build, header, site, seconds):
    number, begin, end, text = site
    lines = (HEADERS / header).read_text().splitlines(keepends=True)
    before = lines[number]
    lines[number] = before[:begin] + text + before[end:]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mutant = folder / "include" / "promptdistill" / header
        mutant.parent.mkdir(parents=True)
        mutant.write_text("".join(lines))
        outcome = "survived"
        for source in COVER[header]:
            result = build.test(source, folder / "include", folder, seconds)
            if result == "does not compile":
                outcome = result
                break
            if result == "fails":
                outcome = "killed"
                break
    return {"header": header, "line": number + 1, "before": before.strip(), "after": lines[number].strip(),
            "outcome": "no change" if (header, lines[number].strip()) in EQUIVALENT else outcome}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="a built folder, as build/dev")
    parser.add_argument("--count", type=int, default=150, help="mutants that compile (default: %(default)s)")
    parser.add_argument("--only", help="headers whose name holds this, as core/")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120, help="after which a test hangs (default: %(default)s)")
    parser.add_argument("--at-least", type=float, default=90, help="percent killed (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, help="write every mutant")
    arguments = parser.parse_args()
    if not (arguments.build / "compile_commands.json").exists() or not shutil.which("ninja"):
        parser.error(f"{arguments.build} holds no compile_commands.json: cmake --preset dev, or ninja is missing")

    build, draw = Build(arguments.build), random.Random(arguments.seed)
    headers = [header for header in COVER if not arguments.only or arguments.only in header]
    waiting = {header: draw.sample(found, len(found)) for header in headers if (found := sites(header))}
    queue = []
    while waiting:  # a site of each header in turn
        for header in list(waiting):
            queue.append((header, waiting[header].pop()))
            if not waiting[header]:
                del waiting[header]

    # Unbroken, every one of the tests passes: else all that follows says nothing.
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for source in sorted({source for header in headers for source in COVER[header]}):
            if build.test(source, folder / "none", folder, 10 * arguments.seconds) != "passes":
                sys.exit(f"mutate: tests/{source} does not pass unbroken; build {arguments.build} first")

    results, start, at = [], time.monotonic(), 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        running = set()
        while at < len(queue) or running:
            counted = sum(r["outcome"] in ("killed", "survived") for r in results)
            while at < len(queue) and len(running) < arguments.jobs and counted + len(running) < arguments.count:
                running.add(pool.submit(run, build, *queue[at], arguments.seconds))
                at += 1
            if not running:
                break
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                results.append(future.result())
                r = results[-1]
                print(f"{len(results):4} {time.monotonic() - start:6.0f} s  {r['outcome']:16} {r['header']}:{r['line']}  "
                      f"{r['before']}  ->  {r['after']}" if r["outcome"] == "survived" else
                      f"{len(results):4} {time.monotonic() - start:6.0f} s  {r['outcome']:16} {r['header']}:{r['line']}",
                      flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1) + "\n")

    print(f"\n{'header':40} mutants  killed")
    total = killed = 0
    for header in headers:
        outcomes = [r["outcome"] for r in results if r["header"] == header and r["outcome"] in ("killed", "survived")]
        dead = outcomes.count("killed")
        total, killed = total + len(outcomes), killed + dead
        print(f"{header:40} {len(outcomes):7} {dead:7}")
    share = 100 * killed / total if total else 0
    print(f"{'all':40} {total:7} {killed:7}  {share:.1f} %")
    sys.exit(share < arguments.at_least)


if __name__ == "__main__":
    main()
