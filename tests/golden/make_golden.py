# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden files of the method with the oracle in reference.py; see README.md.

    python make_golden.py OUT                    tiny random checkpoints and their cases
    python make_golden.py OUT --real MODEL_DIR   OUT/smollm2.json, from SmolLM2-135M-Instruct

Prompts are drawn from fixed seeds; one on which float32 noise could flip a choice is replaced by
the next seed's.
"""

import argparse
import json
import math
import re
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM

from reference import Reference, Scorer

ALL = -1  # truncate every stage
MIN_GAP = 1e-4  # relative, between the last kept and the first dropped score
MIN_MARGIN = 1e-3  # between the two best logits of every decoded token
MAX_NOISE = 5e-6  # float32 against float64, over every logit of a tiny case
FIRST_PLAIN_ID = (
    4  # ids below are the special ones; prompts avoid them and no answer may contain an end token
)


class Checked(Reference):
    """The oracle, noting how far each choice was from going the other way."""

    def __init__(self, model, rope_of=None):
        super().__init__(model)
        self.rope_of = rope_of  # the oracle whose cos and sin to use instead of the model's own
        self.gaps, self.margins = [], []
        model.lm_head.register_forward_hook(self._note_margin)

    def _note_margin(self, module, inputs, logits):
        best = logits[0, -1].double().topk(2).values
        self.margins.append(float(best[0] - best[1]))

    def rope(self, positions, like, total_len):
        if self.rope_of is None:
            return super().rope(positions, like, total_len)
        return tuple(t.double() for t in self.rope_of.rope(positions, like.to(torch.float32), total_len))

    def select(self, s, k, scorer):
        last = max(s.numel() - max(scorer.tail, scorer.protect_last), 0)
        ranked = s[min(scorer.protect_first, last) : last].double().sort(descending=True).values
        if k < ranked.numel():
            kept, dropped = float(ranked[k - 1]), float(ranked[k])
            # Raw scores have both signs, so their noise is relative to the largest;
            # that of a sum of probabilities is relative to itself.
            scale = max(abs(kept), abs(dropped)) if scorer.window else float(ranked.abs().max())
            self.gaps.append((kept - dropped) / scale)
        else:
            self.gaps.append(math.inf)  # nothing is dropped
        return super().select(s, k, scorer)

    def checked_run(self, ids, case):
        self.gaps, self.margins = [], []
        s = case["scorer"]
        scorer = Scorer(
            s["window"],
            {int(l): h for l, h in s["heads"].items()},
            s["pool"],
            s["protect_first"],
            s.get("protect_last", 0),
        )
        out = self.run(
            ids,
            [tuple(x) for x in case["stages"]],
            case["truncate"],
            case["max_new"],
            scorer,
            then=case["then"],
        )
        return out, list(self.gaps), min(self.margins)


@contextmanager
def double_precision():
    """Makes the casts to float32 that the oracle and the norms do casts to float64."""
    single = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = single


def double_twin(model):
    """The oracle in float64, on float32's own cos and sin: every port has those in common."""
    twin = type(model)(model.config).double().eval()
    twin.load_state_dict(model.state_dict())
    for name, module in twin.named_modules():
        if name.endswith("norm"):
            module.forward = lambda x, m=module: m.weight * (
                x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.variance_epsilon)
            )
    return Checked(twin, Reference(model))


def digits(x):
    """Eight significant digits in every float: 1e-8 of the value, a tenth of float32's own step."""
    if isinstance(x, float):
        return float(f"{x:.8g}")
    if isinstance(x, list):
        return [digits(y) for y in x]
    return {k: digits(v) for k, v in x.items()} if isinstance(x, dict) else x


def write_json(path, head, cases):
    """`head` with its cases, one line a case."""
    compact = lambda x: json.dumps(digits(x), separators=(",", ":"), allow_nan=False)
    lines = ",\n".join(compact(c) for c in cases)
    path.write_text(compact(head)[:-1] + ',"cases":[\n' + lines + "\n]}\n")


# ---- tiny checkpoints


def tiny_configs():
    common = dict(
        pad_token_id=None,
        rms_norm_eps=1e-5,
        torch_dtype="float32",
        architectures=["LlamaForCausalLM"],
    )
    # head_dim 8 and theta 500 give wavelengths 6.3, 30, 140 and 664: below, between and above the
    # two bounds 16 and 64.
    rope = dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    )
    yield "tiny-llama3rope", 11, LlamaConfig(
        num_hidden_layers=5,
        hidden_size=48,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        vocab_size=96,
        rope_theta=500.0,
        rope_scaling=rope,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=[2, 3],
        **common,
    )
    yield "tiny-untied", 12, LlamaConfig(
        num_hidden_layers=4,
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
        intermediate_size=24,
        vocab_size=64,
        rope_theta=10000.0,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        attention_bias=True,
        mlp_bias=True,
        bos_token_id=1,
        eos_token_id=2,
        **common,
    )


def randomise(model, attention, vocabulary, rest):
    """Draws all weights; the numbers are standard deviations: of the projections of queries and
    keys, of embedding and head, of the others."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if name.endswith("norm.weight"):
                p.uniform_(0.6, 1.4)
            elif name.endswith("bias"):
                p.normal_(0, 0.3)
            elif any(part in name for part in ("q_proj", "k_proj", "qkv_proj")):
                p.normal_(0, attention)
            elif "embed_tokens" in name or "lm_head" in name:
                p.normal_(0, vocabulary)
            else:
                p.normal_(0, rest)


def make_tiny(folder, seed, config):
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).eval()
    # Attention peaks, yet float32 noise stays small: at 0.3 it reached 5e-5.
    randomise(model, attention=0.2, vocabulary=0.12, rest=0.4)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id
    )
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    model = LlamaForCausalLM.from_pretrained(
        folder, torch_dtype=torch.float32, attn_implementation="eager"
    ).eval()
    return Checked(model), double_twin(model)


def case(
    name,
    stages=(),
    truncate=0,
    window=0,
    heads=None,
    pool=5,
    first=0,
    max_new=6,
    then=0,
    batch=None,
    last=0,
):
    c = {
        "name": name,
        "stages": [list(s) for s in stages],
        "truncate": truncate,
        "scorer": {
            "window": window,
            "heads": {str(l): h for l, h in (heads or {}).items()},
            "pool": pool,
            "protect_first": first,
            **({"protect_last": last} if last else {}),
        },
        "max_new": max_new,
        "then": then,
    }
    return c | ({"batch": batch} if batch else {})


def truncations(name, stages, then=(), **settings):
    """The same prompt and setting under every truncation."""
    values = [*range(len(stages) + 1), ALL]
    return [
        case(
            f"{name}, truncate {'all' if t == ALL else t}",
            stages,
            t,
            then=5 if t in then else 0,
            **settings,
        )
        for t in values
    ]


def llama3rope_groups():
    """(prompt length, cases): the cases of a group share one prompt."""
    for n in (1, 2, 7, 40, 97):
        yield n, [case(f"full {n}")]
    yield 130, [case("full 130, a further turn", then=5)]
    one = [(2, 16)]
    yield 130, [
        case("one stage", one),
        case("one stage, truncate 1", one, 1, then=1),
        case("one stage, truncate all", one, ALL),
        case("one stage, a further turn", one, then=7),
    ]
    yield 97, [case(f"pool {p}", [(1, 24)], pool=p) for p in (1, 3, 15)]
    yield 40, [
        case("stage at the first layer", [(0, 8)], ALL),
        case("stage at the last layer but one", [(3, 8)], ALL),
    ]
    yield 97, [case(f"window {w}", [(2, 20)], window=w) for w in (1, 4, 8)]
    yield 97, [
        case("one head", [(2, 20)], heads={2: [1]}, pool=3),
        case("heads of a window", [(2, 20)], window=8, heads={2: [0, 4, 5]}),
        case("heads named for another layer", [(2, 20)], window=4, heads={1: [3]}, pool=1),
    ]
    yield 130, [
        case("protected start", [(2, 12)], first=3),
        case("protected start, window", [(2, 12)], ALL, 8, pool=15, first=3),
        case("protected start, pool 1", [(1, 1)], ALL, 1, pool=1, first=3, then=2),
    ]
    yield 40, [
        case("budget one short", [(2, 38)], 1),
        case("budget exact", [(2, 39)], 1),
        case("budget above", [(2, 200)], 1),
        case("window, budget one short", [(2, 31)], 1, 8),
        case("window, budget exact", [(2, 32)], 1, 8),
        case("window, budget above", [(2, 100)], 1, 8),
        case("protected, budget one short", [(2, 32)], 1, 4, first=3),
        case("protected, budget exact", [(2, 33)], 1, 4, first=3),
    ]
    yield 1, [
        case("one token", [(2, 4)], ALL),
        case("one token, window", [(0, 1), (3, 1)], ALL, 8, pool=15, first=3, then=3),
    ]
    yield 2, [
        case("two tokens", [(1, 1)], ALL),
        case("two tokens, window", [(1, 1)], ALL, 8, first=3),
    ]
    yield 7, [
        case("seven tokens", [(2, 3)], ALL),
        case("seven tokens, window", [(2, 1)], ALL, 4, pool=3),
        case("seven tokens, longer window", [(2, 1)], ALL, 8, pool=15),
        case("seven tokens, protected", [(2, 1)], ALL, 1, first=3),
    ]
    yield 130, truncations("two stages", [(1, 64), (3, 16)], then=(1, ALL))
    yield 97, truncations(
        "two stages, window and heads",
        [(0, 50), (2, 12)],
        window=8,
        heads={0: [2], 2: [1, 3]},
        pool=15,
        first=3,
    )
    yield 130, truncations(
        "three stages", [(0, 80), (2, 40), (3, 10)], then=(0, 2, ALL), window=4, heads={2: [0, 5]}
    )
    yield 97, [
        case("three stages, the first covers all", [(0, 96), (1, 30), (2, 10)], ALL),
        case("three stages, neighbours", [(1, 70), (2, 35), (3, 9)], 2, pool=3, first=3),
    ]
    for n in (40, 1, 130, 7, 97):
        yield n, [
            case(
                f"batch b1, {n}",
                [(1, 24), (3, 8)],
                ALL,
                4,
                {1: [0, 5], 3: [2, 3, 4]},
                first=3,
                batch="b1",
            )
        ]
    yield 97, [
        case("protected end", [(2, 20)], last=12),
        case("protected end within the window", [(2, 20)], 1, 8, pool=15, last=3),
        case("protected ends", [(1, 40), (3, 10)], ALL, 4, pool=15, first=3, last=20, then=3),
        case("protected end, budget one short", [(2, 76)], 1, last=20),
    ]


def untied_groups():
    yield 40, [case("full 40"), case("one stage, 40", [(1, 10)], ALL, then=4)]
    yield 130, [
        case("one stage", [(1, 20)]),
        case("window", [(2, 20)], 1, 8, {2: [1, 2]}, 15, 3),
        case("one head", [(0, 30)], heads={0: [3]}, pool=1),
    ]
    yield 97, truncations(
        "two stages",
        [(0, 40), (2, 10)],
        then=(0, ALL),
        window=4,
        heads={0: [0, 1], 2: [3]},
        first=3,
    )
    yield 97, truncations("two stages, last query", [(1, 48), (2, 12)], then=(1,))[:3]
    for n in (7, 2, 97):
        yield n, [case(f"batch b2, {n}", [(0, 24), (2, 5)], 1, batch="b2")]


def worst_noise(single, double):
    if any(
        a["kept_positions"] != b["kept_positions"]
        for a, b in zip(single["stages"], double["stages"])
    ):
        return math.inf
    if single["tokens"] != double["tokens"] or single.get("then_tokens") != double.get(
        "then_tokens"
    ):
        return math.inf
    fields = [f for f in ("prefill_logits", "last_logits", "then_logits") if f in single]
    return max(abs(a - b) for f in fields for a, b in zip(single[f], double[f]))


def solve_group(oracle, twin, ids, then, group):
    """The finished cases and their worst noise, or None where one of them is too close to call."""
    done, noise, ends = [], 0.0, oracle.cfg.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    for c in group:
        c = {"name": c["name"], "ids": ids, **c, "then": then[: c["then"]]}
        out, gaps, margin = oracle.checked_run(ids, c)
        if min(gaps, default=math.inf) < MIN_GAP or margin < MIN_MARGIN:
            return None
        if set(ends) & {*out["tokens"], *out.get("then_tokens", [])}:
            return None
        with double_precision():
            noise = max(noise, worst_noise(out, twin.checked_run(ids, c)[0]))
        if noise > MAX_NOISE:
            return None
        c["expected"] = {
            **out,
            "then_logits": out.get("then_logits", []),
            "then_tokens": out.get("then_tokens", []),
        }
        done.append(c)
    return done, noise


def make_tiny_goldens(out):
    groups_of = {"tiny-llama3rope": llama3rope_groups, "tiny-untied": untied_groups}
    for name, seed, config in tiny_configs():
        models = make_tiny(out / name, seed, config)
        cases, worst, redrawn = [], 0.0, 0
        for g, (n, group) in enumerate(groups_of[name]()):
            for attempt in range(200):
                draw = torch.Generator().manual_seed(1_000_000 * seed + 1000 * g + attempt)
                ids = torch.randint(
                    FIRST_PLAIN_ID, config.vocab_size, (n + 8,), generator=draw
                ).tolist()
                if solved := solve_group(*models, ids[:n], ids[n:], group):
                    break
            else:
                raise SystemExit(
                    f"{name}: no prompt of {n} tokens is clear enough for '{group[0]['name']}'"
                )
            cases += solved[0]
            worst, redrawn = max(worst, solved[1]), redrawn + attempt
        assert len({c["name"] for c in cases}) == len(cases), "case names must be distinct"
        write_json(out / f"{name}.json", {"model": name}, cases)
        print(
            f"{name}: {len(cases)} cases, {redrawn} prompts redrawn, "
            f"float32 within {worst:.1e} of float64"
        )


# ---- SmolLM2-135M-Instruct

REAL_LENGTH, REAL_MAX_NEW, EVERY = 4000, 8, 97
TEXT = Path("/usr/share/common-licenses/GPL-3")  # on every Debian machine
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PLANTED = "The keeper of the Varnhem lighthouse hides the spare key under the blue flowerpot. "
QUESTION = "Where does the keeper of the Varnhem lighthouse hide the spare key?"


def real_prompt(folder, length=REAL_LENGTH):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    text = re.sub(r"\s+", " ", TEXT.read_text())
    head = encode(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n")
    tail = encode(f"\n\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n")
    planted, body = encode(" " + PLANTED.strip()), encode(text)
    room = length - len(head) - len(tail) - len(planted)
    assert len(body) >= room, "the text is too short"
    at = room * 9 // 20
    ids = head + body[:at] + planted + body[at:room] + tail
    assert len(ids) == length
    return ids, tokenizer


def sample(logits):
    """The 64 best as [index, value] and every 97th value from index 0."""
    best = torch.tensor(logits).topk(64)
    return {
        "top": [[i, v] for i, v in zip(best.indices.tolist(), best.values.tolist())],
        "every": EVERY,
        "values": logits[::EVERY],
    }


def real_cases():
    many = {7: [7], 14: [1, 3], 20: [3, 4, 5]}
    settings = dict(window=16, pool=15, first=4, max_new=REAL_MAX_NEW)
    yield case("full", max_new=REAL_MAX_NEW)
    yield case("paper", [(14, 512)], max_new=REAL_MAX_NEW)
    yield case("profile", [(14, 512)], heads={14: many[14]}, **settings)
    yield case("three stages", [(7, 2048), (14, 512), (20, 256)], ALL, heads=many, **settings)


def make_real_golden(out, folder):
    ids, tokenizer = real_prompt(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    oracle, cases = Checked(model), []
    with torch.no_grad():
        theirs = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1].tolist()
    for c in real_cases():
        c["then"] = []
        got, gaps, margin = oracle.checked_run(ids, c)
        stages = [
            {"layer": s["layer"], "kept_positions": s["kept_positions"], "min_gap": g}
            for s, g in zip(got["stages"], gaps)
        ]
        c["expected"] = {
            "stages": stages,
            "cache_rows": got["cache_rows"],
            "prefill_logits": sample(got["prefill_logits"]),
            "tokens": got["tokens"],
            "last_logits": sample(got["last_logits"]),
            "min_margin": margin,
        }
        cases.append(c)
        print(
            f"{c['name']}: gaps {[f'{g:.1e}' for g in gaps]}, margin {margin:.1e}, "
            f"{tokenizer.decode(got['tokens'])!r}",
            flush=True,
        )
        if c["name"] == "full":
            apart = max(abs(a - b) for a, b in zip(theirs, got["prefill_logits"]))
            print(f"full: within {apart:.1e} of transformers", flush=True)
        if min(gaps, default=math.inf) < MIN_GAP or margin < MIN_MARGIN:
            raise SystemExit("too close to call in float32: change PLANTED or its place")
    head = {"model": "SmolLM2-135M-Instruct", "ids": ids, "transformers_logits": sample(theirs)}
    write_json(out / "smollm2.json", head, cases)


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("out", type=Path)
    ap.add_argument("--real", type=Path, metavar="MODEL_DIR")
    ap.add_argument(
        "--threads", type=int, default=1, help="sums are the same bytes only for the same number"
    )
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    if a.real:
        make_real_golden(a.out, a.real)
    else:
        make_tiny_goldens(a.out)


if __name__ == "__main__":
    main()
