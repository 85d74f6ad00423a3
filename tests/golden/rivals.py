# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""The rivals of PromptDistill as oracles, over reference.py: GemFilter, SnapKV, H2O, StreamingLLM, FastKV.

Batch 1, greedy. Where the authors' code and a sound grouped-head cache differ, the rule here is the one the project follows;
each deviation is named. Capacities count rows per layer and KV head. Positions of kept rows stay the original ones.

    python rivals.py MODEL_DIR METHOD --ids ids.json --max-new 16 --out golden.json [--set capacity=64 window=8 ...]
"""
import argparse
import json

import torch
import torch.nn.functional as F

from reference import LayerCache, Reference, Scorer, smooth


def grouped(p, g):
    """[H, ...] -> [G, ...]: the query heads that share a KV head are averaged."""
    return p.reshape(g, -1, *p.shape[1:]).mean(1)


def result(ref, x, n, caches, max_new, total, evict=None, report=()):
    out = {"stages": list(report), "cache_rows": [c.k.shape[2] for c in caches],
           "cache_positions": [c.pos.tolist() for c in caches], "prefill_logits": ref.lm.lm_head(x)[0, -1].float().tolist()}
    out["tokens"], logits = ref.decode(x, n, caches, max_new, total, evict=evict)
    out["last_logits"] = logits.tolist()
    return out


@torch.no_grad()
def gemfilter(ref, ids, max_new, layer=13, k=1024, pool=5):
    """Layers 0..layer on the whole prompt; the k best tokens (the last one competes) run again from the start at positions 0..k-1.
    Raw q.k summed over query heads, not scaled. Deviation from the authors: float32 scores."""
    hidden, pos = ref.embed(ids), torch.arange(len(ids))
    for i in range(layer + 1):
        q, key, v = ref.qkv(i, hidden, pos, len(ids) + max_new)
        if i < layer:
            hidden, _ = ref.attend(i, hidden, q, LayerCache(key, v, pos), pos)
    s = (q[0, :, -1:].float() @ key[0].float().repeat_interleave(ref.h // ref.g, 0).transpose(-1, -2))[:, 0].sum(0)
    keep = smooth(s[None], pool)[0].topk(min(k, len(ids))).indices.sort().values
    kept = [ids[j] for j in keep.tolist()]
    total = len(kept) + max_new
    x, caches, _ = ref.prefill(kept, [], 0, Scorer(), total)
    return result(ref, x, len(kept), caches, max_new, total, report=[{"layer": layer, "kept_positions": keep.tolist()}])


def snap_evict(ref, capacity, window, pool, kind):
    """Per layer and KV head: softmax attention of the last `window` queries, summed over them, averaged over the group's heads,
    smoothed over the prefix; the best capacity - window of the prefix and the window stay. Deviation from the authors: they
    repeat KV heads first and choose per query head. Only prefill evicts."""
    def evict(i, q, cache, pos, p):
        t = cache.k.shape[2]
        if len(pos) == 1 or t <= capacity:
            return
        s = grouped(p[:, -window:].sum(1), ref.g)[:, :-window]  # [G, T - window]
        s = smooth(s, pool) if kind == "avg" else F.max_pool1d(s[None], pool, 1, pool // 2)[0]
        best = s.topk(capacity - window, -1).indices.sort(-1).values
        cache.keep(torch.cat((best, torch.arange(t - window, t).expand(ref.g, -1)), -1))
    return evict


@torch.no_grad()
def snapkv(ref, ids, max_new, capacity=1024, window=32, pool=5, kind="avg"):
    total = len(ids) + max_new
    x, caches, _ = ref.prefill(ids, [], 0, Scorer(), total, snap_evict(ref, capacity, window, pool, kind))
    return result(ref, x, len(ids), caches, max_new, total)


@torch.no_grad()
def h2o(ref, ids, max_new, heavy=512, recent=512):
    """Attention probability accumulated over all queries, prefill and decode, averaged over a KV group; whenever a layer holds more
    than heavy + recent rows, the last `recent` and the `heavy` best of the rest stay. Evicted rows lose their sums."""
    total, sums = len(ids) + max_new, {}

    def evict(i, q, cache, pos, p):
        s = grouped(p.sum(1), ref.g)  # [G, rows]
        if i in sums:
            s[:, :sums[i].shape[1]] += sums[i]
        t = s.shape[1]
        if t > heavy + recent:
            best = s[:, :t - recent].topk(heavy, -1).indices.sort(-1).values
            idx = torch.cat((best, torch.arange(t - recent, t).expand(ref.g, -1)), -1)
            cache.keep(idx)
            s = s.gather(1, idx)
        sums[i] = s
    x, caches, _ = ref.prefill(ids, [], 0, Scorer(), total, evict)
    return result(ref, x, len(ids), caches, max_new, total, evict)


@torch.no_grad()
def streamingllm(ref, ids, max_new, sinks=4, recent=1020):
    """The first `sinks` and the last `recent` rows stay, in decode too. Deviation: the authors renumber rotary positions by cache
    slot; here they stay the original ones."""
    total = len(ids) + max_new

    def evict(i, q, cache, pos, p):
        t = cache.k.shape[2]
        if t > sinks + recent:
            cache.keep(torch.cat((torch.arange(sinks), torch.arange(t - recent, t))))
    x, caches, _ = ref.prefill(ids, [], 0, Scorer(), total, evict)
    return result(ref, x, len(ids), caches, max_new, total, evict)


@torch.no_grad()
def fastkv(ref, ids, max_new, layer=15, rate=0.2, capacity=512, window=8, pool=7):
    """After `layer`, floor(rate * N) hidden states go on, the last `window` among them: softmax attention of the window, summed,
    averaged over query heads, smoothed over the prefix. Every layer's cache is cut as SnapKV does, to one absolute capacity."""
    n, total = len(ids), len(ids) + max_new
    snap, report = snap_evict(ref, capacity, window, pool, "avg"), []
    hidden, pos, caches = ref.embed(ids), torch.arange(n), []
    for i in range(ref.n_layers):
        q, k, v = ref.qkv(i, hidden, pos, total)
        cache = LayerCache(k, v, pos)
        hidden, p = ref.attend(i, hidden, q, cache, pos)
        caches.append(cache)
        snap(i, q, cache, pos, p)
        rows = int(rate * n)
        if i == layer and rows < n:
            s = smooth(p[:, -window:].sum(1).mean(0)[None, :-window], pool)[0]
            keep = torch.cat((s.topk(max(rows - window, 0)).indices.sort().values, torch.arange(n - window, n)))
            report.append({"layer": i, "kept_positions": pos[keep].tolist()})
            hidden, pos = hidden[:, keep], pos[keep]
    return result(ref, ref.m.norm(hidden[:, -1:]), n, caches, max_new, total, report=report)


METHODS = {f.__name__: f for f in (gemfilter, snapkv, h2o, streamingllm, fastkv)}


def main():
    from transformers import AutoModelForCausalLM
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model"), ap.add_argument("method", choices=METHODS)
    ap.add_argument("--ids", required=True), ap.add_argument("--out", required=True)
    ap.add_argument("--max-new", type=int, default=16), ap.add_argument("--set", nargs="*", default=[])
    a = ap.parse_args()
    model = AutoModelForCausalLM.from_pretrained(a.model, torch_dtype=torch.float32).eval()
    number = lambda v: float(v) if "." in v else int(v) if v.lstrip("-").isdigit() else v
    settings = {k: number(v) for k, v in (s.split("=") for s in a.set)}
    json.dump(METHODS[a.method](Reference(model), json.load(open(a.ids)), a.max_new, **settings), open(a.out, "w"))


if __name__ == "__main__":
    main()
