# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden files of the rivals with the oracle in rivals.py; see README.md.

    python make_rivals_golden.py method rivals                    from the tiny checkpoints in method/
    python make_rivals_golden.py method rivals --real MODEL_DIR   rivals/smollm2.json

As in make_golden.py, a prompt on which float32 noise could flip a choice is replaced by the next
seed's. Max pooling makes exact ties: those are the same for every port, so they are no danger.
"""

import argparse
import math
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

import rivals
from make_golden import (
    FIRST_PLAIN_ID,
    MAX_NOISE,
    MIN_GAP,
    MIN_MARGIN,
    Checked,
    double_precision,
    double_twin,
    real_prompt,
    sample,
    write_json,
)


@contextmanager
def noted_gaps(gaps, raw):
    """Notes, for every topk over scores, how far the last kept one was from the first dropped."""
    topk = torch.Tensor.topk

    def noting(self, k, dim=-1, **named):
        ranked = self.double().sort(dim, descending=True).values
        for row in ranked.reshape(-1, ranked.shape[-1]):
            if 0 < k < row.numel():
                dropped = row[row < row[k - 1]]
                if dropped.numel():
                    # Raw logits have both signs, so their noise is relative to the largest.
                    scale = row.abs().max() if raw else row[k - 1].abs()
                    gaps.append(float((row[k - 1] - dropped[0]) / scale))
        return topk(self, k, dim, **named)

    torch.Tensor.topk = noting
    try:
        yield
    finally:
        torch.Tensor.topk = topk


class Rival(Checked):
    """The oracle, which also notes where the caches stand after the answer."""

    def decode(self, x, position, caches, *rest, **named):
        out = super().decode(x, position, caches, *rest, **named)
        self.last_positions = [c.pos.tolist() for c in caches]
        return out

    def _note_margin(self, module, inputs, logits):  # without topk, whose gaps are noted
        best = logits[0, -1].double().sort(descending=True).values
        self.margins.append(float(best[0] - best[1]))

    def run_method(self, ids, c):
        self.margins, gaps = [], []
        with noted_gaps(gaps, c["method"] == "gemfilter"):
            out = rivals.METHODS[c["method"]](self, ids, c["max_new"], **c["settings"])
        out["last_cache_positions"] = self.last_positions
        return out, min(gaps, default=math.inf), min(self.margins)


def case(length, method, max_new=6, **settings):
    values = ", ".join(f"{k} {v}" for k, v in settings.items())
    name = f"{method} {length}: {values}"
    return length, {"name": name, "method": method, "settings": settings, "max_new": max_new}


def tiny_cases():
    for pool in (1, 5, 15):
        yield case(97, "gemfilter", layer=2, k=24, pool=pool)
    yield case(130, "gemfilter", layer=0, k=40, pool=5)
    yield case(40, "gemfilter", layer=3, k=1, pool=5)
    yield case(40, "gemfilter", layer=1, k=40, pool=5)
    yield case(40, "gemfilter", layer=1, k=200, pool=5)
    for pool, kind in ((1, "avg"), (5, "avg"), (7, "avg"), (15, "avg"), (5, "max"), (7, "max")):
        yield case(97, "snapkv", capacity=32, window=8, pool=pool, kind=kind)
    yield case(130, "snapkv", capacity=24, window=1, pool=5, kind="avg")
    yield case(130, "snapkv", capacity=24, window=24, pool=5, kind="avg")
    yield case(130, "snapkv", capacity=64, window=32, pool=5, kind="max")
    yield case(40, "snapkv", capacity=39, window=8, pool=5, kind="avg")
    yield case(40, "snapkv", capacity=40, window=8, pool=5, kind="avg")
    yield case(40, "snapkv", capacity=64, window=48, pool=5, kind="avg")
    yield case(1, "snapkv", capacity=8, window=4, pool=5, kind="avg")
    yield case(97, "h2o", max_new=14, heavy=12, recent=8)
    yield case(130, "h2o", max_new=14, heavy=1, recent=20)
    yield case(130, "h2o", max_new=14, heavy=20, recent=1)
    yield case(40, "h2o", max_new=14, heavy=26, recent=20)  # full only after six steps
    yield case(40, "h2o", heavy=40, recent=40)
    yield case(1, "h2o", max_new=14, heavy=2, recent=3)
    yield case(97, "streamingllm", max_new=14, sinks=4, recent=16)
    yield case(97, "streamingllm", max_new=14, sinks=0, recent=1)
    yield case(40, "streamingllm", max_new=14, sinks=2, recent=44)
    yield case(40, "streamingllm", sinks=4, recent=60)
    yield case(1, "streamingllm", max_new=14, sinks=1, recent=2)
    yield case(97, "fastkv", layer=1, rate=0.5, capacity=24, window=8, pool=7)
    yield case(130, "fastkv", layer=2, rate=0.2, capacity=32, window=4, pool=5)
    yield case(130, "fastkv", layer=0, rate=0.33, capacity=100, window=1, pool=1)
    yield case(97, "fastkv", layer=1, rate=0.05, capacity=24, window=8, pool=7)  # the window alone
    yield case(40, "fastkv", layer=1, rate=1.0, capacity=20, window=8, pool=7)


CHOICES = ("cache_rows", "cache_positions", "last_cache_positions", "stages", "tokens")


def solve(oracle, twin, ids, c):
    """The finished case and its noise, or None where it is too close to call."""
    out, gap, margin = oracle.run_method(ids, c)
    ends = oracle.cfg.eos_token_id
    if gap < MIN_GAP or margin < MIN_MARGIN:
        return None
    if set(ends if isinstance(ends, list) else [ends]) & set(out["tokens"]):
        return None
    with double_precision():
        wide = twin.run_method(ids, c)[0]
    if any(out[key] != wide[key] for key in CHOICES):
        return None
    pairs = [p for key in ("prefill_logits", "last_logits") for p in zip(out[key], wide[key])]
    noise = max(abs(a - b) for a, b in pairs)
    return ({"ids": ids, **c, "expected": out}, noise) if noise < MAX_NOISE else None


def make_tiny_goldens(method, out):
    for name in ("tiny-llama3rope", "tiny-untied"):
        model = LlamaForCausalLM.from_pretrained(
            method / name, torch_dtype=torch.float32, attn_implementation="eager"
        ).eval()
        oracle, twin = Rival(model), double_twin(model)
        twin.__class__ = Rival
        cases, worst, redrawn = [], 0.0, 0
        for g, (length, c) in enumerate(tiny_cases()):
            if c["settings"].get("layer", 0) >= oracle.n_layers - 1:
                continue
            for attempt in range(2000):
                draw = torch.Generator().manual_seed(2_000_000 + 10_000 * g + attempt)
                ids = torch.randint(
                    FIRST_PLAIN_ID, model.config.vocab_size, (length,), generator=draw
                ).tolist()
                if solved := solve(oracle, twin, ids, c):
                    break
            else:
                raise SystemExit(f"{name}: no prompt is clear enough for '{c['name']}'")
            cases.append(solved[0])
            worst, redrawn = max(worst, solved[1]), redrawn + attempt
        assert len({c["name"] for c in cases}) == len(cases), "case names must be distinct"
        write_json(out / f"{name}.json", {"model": name}, cases)
        print(
            f"{name}: {len(cases)} cases, {redrawn} prompts redrawn, "
            f"float32 within {worst:.1e} of float64"
        )


# ---- SmolLM2-135M-Instruct

REAL_LENGTH, LISTED_LAYERS = 1000, (0, 14, 29)


def real_cases():
    yield case(REAL_LENGTH, "gemfilter", max_new=8, layer=13, k=256, pool=5)[1]
    yield case(REAL_LENGTH, "snapkv", max_new=8, capacity=128, window=16, pool=5, kind="avg")[1]
    yield case(REAL_LENGTH, "h2o", max_new=12, heavy=64, recent=64)[1]
    yield case(REAL_LENGTH, "streamingllm", max_new=12, sinks=4, recent=124)[1]
    yield case(
        REAL_LENGTH, "fastkv", max_new=8, layer=15, rate=0.25, capacity=128, window=8, pool=7
    )[1]


def make_real_golden(out, folder):
    ids, tokenizer = real_prompt(folder, REAL_LENGTH)
    model = AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    oracle, cases = Rival(model), []
    for c in real_cases():
        got, gap, margin = oracle.run_method(ids, c)
        listed = lambda positions: {str(l): positions[l] for l in LISTED_LAYERS}
        c["expected"] = {
            **got,
            "cache_positions": listed(got["cache_positions"]),
            "last_cache_positions": listed(got["last_cache_positions"]),
            "prefill_logits": sample(got["prefill_logits"]),
            "last_logits": sample(got["last_logits"]),
            "min_gap": gap if math.isfinite(gap) else None,
            "min_margin": margin,
        }
        cases.append(c)
        print(
            f"{c['name']}: gap {gap:.1e}, margin {margin:.1e}, "
            f"{tokenizer.decode(got['tokens'])!r}",
            flush=True,
        )
        if margin < MIN_MARGIN:
            raise SystemExit("too close to call in float32")
    write_json(out / "smollm2.json", {"model": "SmolLM2-135M-Instruct", "ids": ids}, cases)


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("method", type=Path, help="the folder of the tiny checkpoints")
    ap.add_argument("out", type=Path)
    ap.add_argument("--real", type=Path, metavar="MODEL_DIR")
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if a.real:
        make_real_golden(a.out, a.real)
    else:
        make_tiny_goldens(a.method, a.out)


if __name__ == "__main__":
    main()
