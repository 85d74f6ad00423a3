# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Times encoding 1 MB of text, ours and the tokenizers package's, in turns, on one thread each.

    ../build/venv/bin/python bench_tokenizer.py ../build/tokenizers ../build/release/bin/promptdistill-tokenize [ROUNDS]

The text is that of the golden files of tests/golden/make_tokenizers.py, which ids were checked on.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # of batches only, but to be sure
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer, __version__  # noqa: E402: it reads the above


def main(folder, program, rounds="5"):
    golden = json.loads((pathlib.Path(folder) / "llama3/golden.json").read_text(encoding="utf-8"))
    whole = "".join(entry["text"] for entry in golden["texts"])
    text = whole.encode()[:1_000_000].decode("utf-8", "ignore")
    print(f"{len(text.encode())} bytes, median of {rounds} in turns, 1 thread each, tokenizers {__version__}")
    for path in sorted(pathlib.Path(folder).glob("*/tokenizer.json")):
        tokenizer = Tokenizer.from_file(str(path))
        ours, theirs = [], []
        for _ in range(int(rounds)):
            start = time.perf_counter()
            count = len(tokenizer.encode(text).ids)
            theirs.append(time.perf_counter() - start)
            command = [program, str(path.parent), "--time", "1"]
            result = json.loads(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout)
            ours += result["seconds"]
            assert result["tokens"] == count, f"{result['tokens']} tokens, not {count}"
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{path.parent.name:8} {count} tokens  ours {a:.3f} s  tokenizers {b:.3f} s  {b / a:.1f}x")


if __name__ == "__main__":
    main(*sys.argv[1:])
