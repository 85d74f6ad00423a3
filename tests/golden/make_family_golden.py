# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden files of the model families: tiny random checkpoints of each, run in full and
distilled by the oracle in reference.py and in full by transformers; see README.md.

    python make_family_golden.py OUT     (transformers 4.57.1)

Weights are stored in bfloat16 and run in float32; float32 noise cannot flip a choice, as in
make_golden.py.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    SeedOssConfig,
)

from make_golden import (
    ALL,
    MAX_NOISE,
    MIN_GAP,
    MIN_MARGIN,
    Checked,
    case,
    double_precision,
    double_twin,
    randomise,
    truncations,
    worst_noise,
    write_json,
)

STEPS = 64  # tokens of every answer
FIRST_PLAIN_ID = 4


def common(**more):
    sizes = dict(
        num_hidden_layers=5,
        hidden_size=24,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=20,
        vocab_size=48,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
        rms_norm_eps=1e-5,
    )
    return sizes | more


SHORT = [1.0, 1.1, 1.4, 2.0]  # longrope, one per rotated pair
LONG = [1.2, 3.0, 7.0, 16.0]
LLAMA = dict(head_dim=8, rope_theta=500.0)


def longrope(pairs=4, **more):
    return dict(short_factor=SHORT[:pairs], long_factor=LONG[:pairs], **more)


def variants():
    """(name, seed of the weights, config, shards); those of one seed share one file of weights."""
    yield "llama-linear", 21, LlamaConfig(
        **common(**LLAMA, rope_scaling=dict(rope_type="linear", factor=4.0))
    ), 1
    yield "llama-dynamic", 21, LlamaConfig(
        **common(**LLAMA | dict(rope_scaling=dict(rope_type="dynamic", factor=3.0)))
        | dict(max_position_embeddings=96)
    ), 1
    yield "llama-yarn", 21, LlamaConfig(
        **common(
            **LLAMA,
            rope_scaling=dict(
                rope_type="yarn", factor=8.0, original_max_position_embeddings=64, beta_fast=4.0
            ),
        )
    ), 1
    yield "llama-longrope", 21, LlamaConfig(
        **common(
            **LLAMA,
            rope_scaling=longrope(rope_type="longrope", factor=8.0),
            original_max_position_embeddings=64,
        )
    ), 1
    yield "mistral", 22, MistralConfig(**common(head_dim=8, sliding_window=28)), 2
    yield "phi3", 23, Phi3Config(
        **common(
            hidden_size=32,
            rope_scaling=longrope(type="longrope"),
            original_max_position_embeddings=64,
            sliding_window=90,
        )
    ), 1
    # Phi-4-mini's ways: a part of each head rotated, tied embeddings.
    yield "phi3-partial", 24, Phi3Config(
        **common(
            hidden_size=32,
            partial_rotary_factor=0.75,
            rope_scaling=longrope(3, type="longrope"),
            original_max_position_embeddings=64,
            tie_word_embeddings=True,
            sliding_window=None,
        )
    ), 1
    yield "qwen2", 25, Qwen2Config(
        **common(
            hidden_size=32,
            use_sliding_window=True,
            sliding_window=30,
            max_window_layers=2,
            rope_theta=1000.0,
            rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=128),
        )
        | dict(max_position_embeddings=128)
    ), 3
    yield "qwen3", 26, Qwen3Config(**common(head_dim=16, tie_word_embeddings=True)), 1
    # Not one of ours: what README's recipe for a further family is tried on.
    yield "seed_oss", 27, SeedOssConfig(**common(head_dim=8)), 1


def make_model(folder, seed, config, shards):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    scale = 1 / math.sqrt(config.hidden_size)
    randomise(model, attention=0.75 * scale, vocabulary=0.15, rest=1.4 * scale)
    model.config.architectures = [type(model).__name__]
    bytes_of_all = sum(p.numel() * 2 for p in model.parameters())
    shutil.rmtree(folder, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(
        folder, max_shard_size=bytes_of_all // shards + 4000 if shards > 1 else "1GB"
    )
    (folder / "generation_config.json").unlink(missing_ok=True)
    for file in folder.iterdir():
        file.chmod(0o644)
    load = lambda dtype: AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    ).eval()
    return load(torch.float32), load(torch.bfloat16)


def groups_of(config):
    """(prompt length, answer length, cases): the cases of a group share one prompt."""
    yield 120, [
        case("full", max_new=STEPS),
        *truncations("one stage", [(2, 24)], max_new=STEPS),
        *truncations("two stages", [(1, 60), (3, 16)], max_new=STEPS),
        *truncations("three stages", [(0, 80), (2, 40), (3, 12)], max_new=STEPS, window=4, first=2),
    ]
    original = getattr(config, "original_max_position_embeddings", None)
    if original:
        yield 20, [
            case("short factors, full", max_new=20),
            case("short factors, one stage", [(1, 8)], ALL, max_new=20),
        ]
        yield original - 14, [
            case("crossing, full", max_new=STEPS),
            case("crossing, one stage", [(1, 20)], ALL, max_new=STEPS),
            case("crossing, three stages", [(0, 40), (1, 24), (3, 8)], 2, max_new=STEPS, window=4),
        ]


def transformers_logits(model, ids, tokens):
    """Of the prompt's last token and of the answer's last but one, from one forward pass over
    exactly the tokens that the request may reach, which rotary factors depend on."""
    emb = model.model.rotary_emb
    if "dynamic" in emb.rope_type:
        emb.max_seq_len_cached, emb.inv_freq = emb.original_max_seq_len, emb.original_inv_freq
    with torch.no_grad():
        logits = model(torch.tensor([ids + tokens])).logits[0].float()
    return logits[len(ids) - 1].tolist(), logits[len(ids) + len(tokens) - 2].tolist()


def solve(oracle, twin, narrow, model, ids, group):
    done = []
    for c in group:
        c = {"name": c["name"], "ids": ids, **c, "then": []}
        out, gaps, margin = oracle.checked_run(ids, c)
        if min(gaps, default=math.inf) < MIN_GAP or margin < MIN_MARGIN:
            return None
        with double_precision():
            if worst_noise(out, twin.checked_run(ids, c)[0]) > MAX_NOISE:
                return None
        for stage in out["stages"]:
            del stage["scores"]
        c["expected"] = out
        c["bfloat16_kept"] = [
            s["kept_positions"] for s in narrow.checked_run(ids, c)[0]["stages"]
        ]
        if not c["stages"]:
            c["transformers_logits"] = transformers_logits(model, ids, out["tokens"])
        done.append(c)
    return done


def main():
    torch.set_num_threads(1)  # so small that threads only wait for each other
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    first_of_seed = {}
    for name, seed, config, shards in variants():
        folder = out / name
        model, narrow_model = make_model(folder, seed, config, shards)
        # The same weights under another config are kept once; the test puts them together.
        weights = first_of_seed.setdefault(seed, name)
        if weights != name:
            (folder / "model.safetensors").unlink()
        oracle, twin, narrow = Checked(model), double_twin(model), Checked(narrow_model)
        cases, redrawn = [], 0
        for g, (n, group) in enumerate(groups_of(config)):
            for attempt in range(1000):
                draw = torch.Generator().manual_seed(1_000_000 * seed + 10_000 * g + attempt)
                ids = torch.randint(FIRST_PLAIN_ID, config.vocab_size, (n,), generator=draw)
                if solved := solve(oracle, twin, narrow, model, ids.tolist(), group):
                    break
            else:
                raise SystemExit(f"{name}: no prompt of {n} tokens is clear enough")
            cases += solved
            redrawn += attempt
        write_json(out / f"{name}.json", {"model": name, "weights": weights}, cases)
        gap = max(
            abs(a - b)
            for c in cases
            if "transformers_logits" in c
            for own, theirs in zip(
                (c["expected"]["prefill_logits"], c["expected"]["last_logits"]),
                c["transformers_logits"],
            )
            for a, b in zip(own, theirs)
        )
        print(
            f"{name}: {len(cases)} cases, {redrawn} prompts redrawn, "
            f"oracle within {gap:.1e} of transformers {transformers.__version__}",
            flush=True,
        )


if __name__ == "__main__":
    main()
