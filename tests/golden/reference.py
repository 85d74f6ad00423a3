# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""PromptDistill in plain PyTorch over Hugging Face checkpoints (llama, mistral, qwen2, qwen3, phi3): an oracle, not a fast path.

Batch 1, no padding. Every step is spelt out so that each number can be dumped and compared. With the default scorer it agrees
with the authors' code to 5e-7 in float32 (scores here are always float32; theirs are in the model's dtype).

    python reference.py MODEL_DIR --ids ids.json --stages 13:1024 --truncate -1 --max-new 16 --out golden.json
    python reference.py MODEL_DIR --ids ids.json --stages 14:512 --window 16 --heads '14:1,3' --pool 15 --then more.json --out g.json

stages    LAYER:K pairs, 0-based, ascending; a stage at the last layer is ignored (as the authors do)
truncate  how many leading stages also cut the caches of every layer up to theirs (-1: all)
window    0: the paper's scorer (last query, raw logits). W > 0: softmax attention of the last W queries, summed
heads     which query heads vote, per layer (default all); pool: smoothing kernel, odd (0 or 1: none)
then      ids of a next turn, appended after the answer's tokens; nothing is selected again

Sliding windows are honoured by attention, per layer where transformers knows them per layer (4.53 or newer), not by selection.
Rotary factors that depend on the length (longrope, dynamic) are chosen from the whole length the request may reach.
"""
import argparse
import json
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F


@dataclass
class Scorer:
    window: int = 0  # 0: the paper's
    heads: dict = field(default_factory=dict)  # layer -> voting query heads
    pool: int = 5
    protect_first: int = 0  # rows at the start that are always kept, on top of k
    protect_last: int = 0  # rows at the end that are, where they are more than the tail

    @property
    def tail(self):
        return max(1, self.window)  # rows at the end that are always kept, on top of k


def rotate_half(x):
    a, b = x.chunk(2, -1)
    return torch.cat((-b, a), -1)


def apply_rope(x, cos, sin):  # x [1, heads, T, D]; cos, sin [1, T, R], R <= D (partial rotary leaves the rest alone)
    r = cos.shape[-1]
    x, rest = x[..., :r], x[..., r:]
    x = x * cos[:, None] + rotate_half(x) * sin[:, None]
    return torch.cat((x, rest), -1)


def smooth(s, pool):
    """Average over `pool` neighbours of the last dimension; zeros beyond the ends count."""
    return F.avg_pool1d(s[None], pool, stride=1, padding=pool // 2)[0] if pool > 1 else s


@dataclass
class LayerCache:
    k: torch.Tensor  # [1, G, rows, D]
    v: torch.Tensor
    pos: torch.Tensor  # [rows], or [G, rows] where heads keep different tokens

    def append(self, k, v, pos):
        self.k, self.v = torch.cat((self.k, k), 2), torch.cat((self.v, v), 2)
        self.pos = torch.cat((self.pos, pos.expand(*self.pos.shape[:-1], -1)), -1)

    def keep(self, idx):  # [rows'] for all heads, or [G, rows']
        if idx.dim() == 1:
            self.k, self.v, self.pos = self.k[:, :, idx], self.v[:, :, idx], self.pos[..., idx]
            return
        pos = self.pos.expand(idx.shape[0], -1)
        e = idx[None, :, :, None].expand(1, -1, -1, self.k.shape[-1])
        self.k, self.v, self.pos = self.k.gather(2, e), self.v.gather(2, e), pos.gather(1, idx)


class Reference:
    def __init__(self, model):
        self.lm, self.m, self.cfg = model, model.model, model.config
        self.n_layers = self.cfg.num_hidden_layers
        self.h, self.g = self.cfg.num_attention_heads, self.cfg.num_key_value_heads
        self.d = getattr(self.cfg, "head_dim", None) or self.cfg.hidden_size // self.h

    def embed(self, ids):
        return self.m.embed_tokens(torch.as_tensor(ids)[None])

    def rope(self, positions, like, total_len):
        if "dynamic" in getattr(self.m.rotary_emb, "rope_type", ""):  # forget what an earlier request reached
            self.m.rotary_emb.max_seq_len_cached = self.m.rotary_emb.original_max_seq_len
            self.m.rotary_emb.inv_freq = self.m.rotary_emb.original_inv_freq
        probe = torch.cat((positions, positions.new_tensor([total_len - 1])))[None]
        cos, sin = self.m.rotary_emb(like, probe)
        return cos[:, :-1], sin[:, :-1]

    def qkv(self, i, hidden, pos, total_len):
        cos, sin = self.rope(pos, hidden, total_len)
        layer = self.m.layers[i]
        a, x = layer.self_attn, layer.input_layernorm(hidden)
        if hasattr(a, "qkv_proj"):
            q, k, v = a.qkv_proj(x).split([self.h * self.d, self.g * self.d, self.g * self.d], -1)
        else:
            q, k, v = a.q_proj(x), a.k_proj(x), a.v_proj(x)
        heads = lambda t, n: t.view(1, -1, n, self.d).transpose(1, 2)
        q, k, v = heads(q, self.h), heads(k, self.g), heads(v, self.g)
        if hasattr(a, "q_norm"):  # qwen3
            q, k = a.q_norm(q), a.k_norm(k)
        return apply_rope(q, cos, sin), apply_rope(k, cos, sin), v

    def window(self, i):
        attention = self.m.layers[i].self_attn
        if hasattr(attention, "sliding_window"):
            return attention.sliding_window
        return getattr(self.cfg, "sliding_window", None) if getattr(self.cfg, "use_sliding_window", True) else None

    def probabilities(self, q, k, q_pos, k_pos, window=None):
        """Causal softmax attention in float32: [H, Tq, rows]; causality goes by position, not by index."""
        rep = self.h // self.g
        k_pos = k_pos.expand(self.g, -1).repeat_interleave(rep, 0)[:, None, :]
        mask = k_pos <= q_pos[None, :, None]
        if window:
            mask &= k_pos > q_pos[None, :, None] - window
        w = (q[0].float() @ k[0].float().repeat_interleave(rep, 0).transpose(-1, -2)) / self.d**0.5
        return w.masked_fill(~mask, float("-inf")).softmax(-1)

    def attend(self, i, hidden, q, cache, q_pos):
        """Attention and MLP of layer i; also returns the probabilities [H, Tq, rows]."""
        layer = self.m.layers[i]
        p = self.probabilities(q, cache.k, q_pos, cache.pos, self.window(i))
        o = p.to(q.dtype) @ cache.v[0].repeat_interleave(self.h // self.g, 0)
        o = o.transpose(0, 1).reshape(1, -1, self.h * self.d)
        hidden = hidden + layer.self_attn.o_proj(o)
        return hidden + layer.mlp(layer.post_attention_layernorm(hidden)), p

    def scores(self, i, q, k, pos, scorer):
        """[T] float32, smoothed, the always-kept tail zeroed before smoothing."""
        t, rep = k.shape[2], self.h // self.g
        tail = min(scorer.tail, t)
        if scorer.window:
            s = self.probabilities(q[:, :, -tail:], k, pos[-tail:], pos).sum(1)  # [H, T]
        else:
            s = (q[0, :, -1:].float() @ k[0].float().repeat_interleave(rep, 0).transpose(-1, -2))[:, 0] / self.d**0.5
        if i in scorer.heads:
            s = s[scorer.heads[i]]
        s = s.mean(0)
        s[-tail:] = 0
        return smooth(s[None], scorer.pool)[0]

    def select(self, s, k, scorer):
        """Ascending indices: protected rows at both ends and the k best between them."""
        t = s.numel()
        first, last = min(scorer.protect_first, t), max(t - max(scorer.tail, scorer.protect_last), 0)
        first = min(first, last)
        best = s[first:last].topk(min(k, last - first)).indices + first
        return torch.cat((torch.arange(first), best.sort().values, torch.arange(last, t)))

    @torch.no_grad()
    def prefill(self, ids, stages, truncate, scorer, total, evict=None):
        """Hidden state of the last token, the caches, and what each stage kept. `evict(i, q, cache, pos, p)` may cut a cache."""
        hidden, pos, caches, report = self.embed(ids), torch.arange(len(ids)), [], []
        stages = {l: k for l, k in stages if l < self.n_layers - 1}
        for i in range(self.n_layers):
            q, k, v = self.qkv(i, hidden, pos, total)
            cache = LayerCache(k, v, pos)
            hidden, p = self.attend(i, hidden, q, cache, pos)
            caches.append(cache)
            if evict:
                evict(i, q, cache, pos, p)
            if i in stages:
                s = self.scores(i, q, k, pos, scorer)
                keep = self.select(s, stages[i], scorer)
                report.append({"layer": i, "scores": s.tolist(), "kept_positions": pos[keep].tolist()})
                if truncate == -1 or len(report) <= truncate:
                    kept = set(pos[keep].tolist())
                    for c in caches:  # layer i's included
                        c.keep(torch.tensor([j for j, x in enumerate(c.pos.tolist()) if x in kept]))
                hidden, pos = hidden[:, keep], pos[keep]
        return self.m.norm(hidden[:, -1:]), caches, report

    @torch.no_grad()
    def append(self, ids, start, caches, total, evict=None):
        """Runs `ids` at positions start, start+1, ... over the caches; causal among themselves, nothing is selected."""
        hidden, pos = self.embed(ids), torch.arange(start, start + len(ids))
        for i in range(self.n_layers):
            q, k, v = self.qkv(i, hidden, pos, total)
            caches[i].append(k, v, pos)
            hidden, p = self.attend(i, hidden, q, caches[i], pos)
            if evict:
                evict(i, q, caches[i], pos, p)
        return self.m.norm(hidden[:, -1:])

    @torch.no_grad()
    def decode(self, x, position, caches, max_new, total, stop=(), evict=None):
        """Greedy. Returns the tokens and the logits the last one came from; the last token itself is not run."""
        tokens = []
        for step in range(max_new):
            logits = self.lm.lm_head(x)[0, -1].float()
            tokens.append(int(logits.argmax()))
            if tokens[-1] in stop or step == max_new - 1:
                break
            x = self.append([tokens[-1]], position + step, caches, total, evict)
        return tokens, logits

    @torch.no_grad()
    def run(self, ids, stages=(), truncate=0, max_new=16, scorer=None, stop=(), then=None):
        n, scorer = len(ids), scorer or Scorer()
        total = n + max_new + (len(then) + max_new if then else 0)
        x, caches, report = self.prefill(ids, stages, truncate, scorer, total)
        out = {"stages": report, "cache_rows": [c.k.shape[2] for c in caches],
               "prefill_logits": self.lm.lm_head(x)[0, -1].float().tolist()}
        tokens, logits = self.decode(x, n, caches, max_new, total, stop)
        out["tokens"], out["last_logits"] = tokens, logits.tolist()
        if then:
            turn = [tokens[-1], *then]  # the answer's last token has not been run yet
            start = n + len(tokens) - 1
            x = self.append(turn, start, caches, total)
            out["then_logits"] = self.lm.lm_head(x)[0, -1].float().tolist()
            out["then_tokens"], _ = self.decode(x, start + len(turn), caches, max_new, total, stop)
        return out


def parse_heads(text):  # '14:1,3;20:3,4,5'
    return {int(l): [int(h) for h in hs.split(",")] for l, hs in (p.split(":") for p in text.split(";") if p)}


def main():
    from transformers import AutoModelForCausalLM
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    for name in ("ids", "out"):
        ap.add_argument("--" + name, required=True)
    ap.add_argument("--stages", default="")
    ap.add_argument("--truncate", type=int, default=0)
    ap.add_argument("--max-new", type=int, default=16)
    ap.add_argument("--window", type=int, default=0)
    ap.add_argument("--heads", type=parse_heads, default={})
    ap.add_argument("--pool", type=int, default=5)
    ap.add_argument("--protect-first", type=int, default=0)
    ap.add_argument("--protect-last", type=int, default=0)
    ap.add_argument("--then")
    ap.add_argument("--dtype", default="float32")
    a = ap.parse_args()
    model = AutoModelForCausalLM.from_pretrained(a.model, torch_dtype=getattr(torch, a.dtype)).eval()
    stages = [tuple(map(int, s.split(":"))) for s in a.stages.split(",") if s]
    scorer = Scorer(a.window, a.heads, a.pool, a.protect_first, a.protect_last)
    then = json.load(open(a.then)) if a.then else None
    out = Reference(model).run(json.load(open(a.ids)), stages, a.truncate, a.max_new, scorer, then=then)
    json.dump(out, open(a.out, "w"))


if __name__ == "__main__":
    main()
