#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the named files of tests/fuzz/corpus/: small valid ones, and one for each way to be bad.

The corpus's other files, named by a hash, were found by libFuzzer and kept by its -merge=1.
"""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
GOLDEN = pathlib.Path(__file__).parents[1] / "golden/text"
DEEP = 2_000  # brackets; the replay test has 100,000


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds.items():
        if isinstance(content, (dict, list)):
            content = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        if isinstance(content, str):
            content = content.encode("utf-8")
        (folder / name).write_bytes(content)


def without(value, key):
    return {k: v for k, v in value.items() if k != key}


# ---- safetensors ----


def file(header, data=b"", length=None):
    if not isinstance(header, (str, bytes)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    valid = {
        "__metadata__": {"format": "pt"},
        "a": entry("F32", [2, 3], 0, 24),
        "b.weight": entry("BF16", [3], 24, 30),
        "c": entry("F64", [1], 30, 38),  # out of alignment
        "e": entry("I8", [0, 3], 38, 38),
        "s": entry("BOOL", [], 38, 39),
    }
    data = bytes(range(39))
    a = json.dumps(entry("U8", [1], 0, 1))
    big = 1 << 48
    yield "valid", file(valid, data)
    yield "valid-empty", file({})
    yield "valid-other-dtypes", file(
        {t: entry(t, [1, 1], 8 * i, 8 * i + 8) for i, t in enumerate(["F64", "I64"])}
        | {"h": entry("F16", [4], 16, 24), "i": entry("I32", [2], 24, 32), "u": entry("I16", [1], 32, 34)},
        bytes(34),
    )
    yield "truncated-data", file(valid, data[:-1])
    yield "truncated-header", file(valid)[:40]
    yield "truncated-length", b"\x08\0\0\0\0"
    yield "header-beyond-file", file("{}", length=3)
    yield "header-length-huge", file("{}", length=2**64 - 8)
    yield "overlap", file({"a": entry("U8", [4], 0, 4), "b": entry("U8", [5], 3, 8)}, bytes(8))
    yield "overlap-same", file({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 0, 4)}, bytes(4))
    yield "hole", file({"a": entry("U8", [3], 1, 4)}, bytes(4))
    yield "surplus", file({"a": entry("U8", [3], 0, 3)}, bytes(4))
    yield "offsets-backwards", file({"a": entry("U8", [4], 4, 0)}, bytes(4))
    yield "offsets-out-of-range", file({"a": entry("U8", [big], 0, big)}, bytes(4))
    yield "offsets-negative", file({"a": entry("U8", [4], -4, 0)}, bytes(4))
    yield "offsets-beyond-int64", file({"a": entry("U8", [4], 2**64 - 4, 2**64)}, bytes(4))
    yield "duplicate-key", file('{"a":%s,"\\u0061":%s}' % (a, a), bytes(1))
    yield "duplicate-field", file('{"a":{"shape":[2],%s}' % a[1:], bytes(1))
    yield "shape-overflow", file({"a": entry("F32", [big, big], 0, 0)})
    yield "shape-overflow-to-zero", file({"a": entry("F32", [1 << 32, 1 << 30], 0, 0)})
    yield "shape-overflow-of-empty", file({"a": entry("F32", [big, big, 0], 0, 0)})
    yield "shape-many-ones", file({"a": entry("U8", [1] * 300, 0, 1)}, bytes(1))
    yield "shape-not-integers", file({"a": entry("U8", [1.0, "1", None, True, [1]], 0, 1)}, bytes(1))
    yield "dtype-unknown", file({"a": entry("F8_E4M3", [1], 0, 1)}, bytes(1))
    yield "dtype-not-a-string", file({"a": entry(3, [1], 0, 1)}, bytes(1))
    yield "entry-not-an-object", file({"a": [1]})
    yield "metadata-not-strings", file({"__metadata__": {"a": {"b": 1}}})
    yield "not-an-object", file("[]")
    yield "deep", file("[" * DEEP)
    yield "deep-in-entry", file('{"a":' + '{"a":' * (DEEP // 5))
    yield "invalid-utf-8", file(b'{"\xff\xc3":1}')
    yield "lone-surrogate", file('{"\\ud800":1}')
    yield "name-long", file({"n" * 1800: entry("X", [1], 0, 1)}, bytes(1))
    yield "nan", file('{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', bytes(1))


# ---- config.json ----


def config():
    valid = {
        "model_type": "llama",
        "hidden_size": 8,
        "intermediate_size": 4,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 6,
        "max_position_embeddings": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "eos_token_id": 2,
    }
    llama3 = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    text = json.dumps(valid, separators=(",", ":"))

    def with_(**changes):
        return valid | changes

    yield "valid", valid
    yield "valid-llama3", with_(rope_scaling=llama3, eos_token_id=[2, 3], attention_bias=True, head_dim=6)
    yield "valid-rope-parameters", without(with_(rope_parameters=llama3 | {"rope_theta": 5e5}), "rope_theta")
    yield "valid-profile", {
        "version": 1, "name": "n", "fingerprint": "0123456789abcdef", "scorer": "window", "window": 8,
        "pool": 5, "protect_first": 4, "heads": "14:0,3;20:1", "stages": "14:1024,20:25%", "truncate": "all",
        "evidence": {"a": 1},
    }  # fmt: skip
    yield "string-for-number", with_(hidden_size="8")
    yield "number-for-string", with_(model_type=3)
    yield "float-for-integer", with_(vocab_size=6.0)
    yield "zero-heads", with_(num_attention_heads=0)
    yield "zero-kv-heads", with_(num_key_value_heads=0)
    yield "heads-not-divisible", with_(num_attention_heads=4, num_key_value_heads=3)
    yield "more-heads-than-hidden", with_(num_attention_heads=64, num_key_value_heads=64)
    yield "head-dim-odd", with_(head_dim=3)
    yield "negative", with_(intermediate_size=-1)
    yield "beyond-int64", with_(hidden_size=2**63, vocab_size=2**64, eos_token_id=2**64)
    yield "beyond-double", text.replace("10000.0", "1e999")
    yield "huge", with_(hidden_size=2**24, num_hidden_layers=4096, num_attention_heads=65536, head_dim=65536)
    yield "nan", text.replace("1e-05", "NaN")
    yield "nan-string", with_(rms_norm_eps="NaN")
    yield "infinity", text.replace("10000.0", "-Infinity")
    yield "rope-factor-zero", with_(rope_scaling=llama3 | {"factor": 0})
    yield "rope-factors-swapped", with_(rope_scaling=llama3 | {"low_freq_factor": 9.0})
    yield "rope-tiny", with_(rope_theta=5e-324, rope_scaling=llama3 | {"factor": 1e300})
    yield "rope-not-an-object", with_(rope_scaling=[llama3])
    yield "rope-type-unknown", with_(rope_scaling={"type": "n" * 500})
    yield "model-type-unknown", with_(model_type="mamba")
    yield "quantised", with_(quantization_config={"bits": 4})
    yield "missing-key", without(valid, "hidden_size")
    yield "eos-not-ids", with_(eos_token_id=[2, -1, "x", [3]])
    yield "duplicate-key", text[:-1] + ',"hidden_size":16}'
    yield "deep", '{"a":' * (DEEP // 5)
    yield "deep-closed", '{"hidden_size":' + "[" * 99 + "]" * 99 + "}"
    yield "long-token", '{"a":' + "1" * 2000 + "x}"
    yield "invalid-utf-8", b'{"model_type":"\xf0\x9f\x92\xe2\x28"}'
    yield "invalid-utf-8-outside", b'{"a":\xff}'
    yield "lone-surrogate", '{"model_type":"\\udc00\\ud800"}'
    yield "control-characters", '{"model_type":"\\u0000\\u001b[2J"}'
    yield "not-an-object", "[{}]"
    yield "truncated", text[:60]
    shards = ["model.embed_tokens", "model.norm"] + [
        "model.layers.0." + name
        for name in ["input_layernorm", "post_attention_layernorm"]
        + ["self_attn." + x + "_proj" for x in "qkvo"]
        + ["mlp." + x + "_proj" for x in ("gate", "up", "down")]
    ]
    index = {name + ".weight": "b" for name in shards} | {"model.embed_tokens.weight": "a"}
    yield "index-valid", {"metadata": {"total_size": 1}, "weight_map": index}
    yield "index-missing-shard", {"weight_map": index | {"model.norm.weight": "c"}}
    yield "index-wrong-shard", {"weight_map": index | {"model.norm.weight": "a"}}
    yield "index-missing-tensor", {"weight_map": without(index, "model.norm.weight")}
    yield "index-surplus-tensor", {"weight_map": index | {"x": "a"}}
    yield "index-elsewhere", {"weight_map": index | {"x": "../a"}}
    yield "index-folder", {"weight_map": {"x": "."}}
    yield "index-null-character", {"weight_map": {"x": "a\0b"}}
    yield "index-name-long", {"weight_map": {"x": "n" * 300}}
    yield "index-itself", {"weight_map": {"x": "model.safetensors.index.json"}}
    yield "phi3-longrope", with_(
        model_type="phi3", original_max_position_embeddings=16, sliding_window=8,
        rope_scaling={"type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [2.0, 4.0]},
    )  # fmt: skip
    yield "qwen2-yarn", with_(
        model_type="qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=1,
        rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8},
    )  # fmt: skip
    yield "qwen3-linear", with_(model_type="qwen3", head_dim=4, rope_scaling={"type": "linear", "factor": 2.0})
    yield "mistral-dynamic", with_(model_type="mistral", rope_scaling={"type": "dynamic", "factor": 2.0})
    yield "byte-order-mark", b"\xef\xbb\xbf" + text.encode()
    yield "empty", b""


# ---- tokenizer.json ----


def added_token(number, content, *flags):
    token = {"id": number, "content": content}
    return token | {
        flag: flag in flags for flag in ("single_word", "lstrip", "rstrip", "normalized", "special")
    }


def smaller(value):
    """With the first few merges and the tokens that these, and other keys, name."""
    model = value["model"]
    merges = model["merges"][:6]
    named = {model["unk_token"], "a", "b", "\u2581", "\u0120", "<0x41>"}
    named |= {token["content"] for token in value["added_tokens"]}
    named |= {piece for left, right in merges for piece in (left, right, left + right)}
    vocab = {token: number for token, number in model["vocab"].items() if token in named}
    return value | {"model": model | {"vocab": vocab, "merges": merges}}


def tokenizer():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    bpe = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {"a": 0, "b": 1, "c": 2, "\u0120": 3, "1": 4, "!": 5, "ab": 6, "abc": 7, "\u0120a": 8, "\u00c3": 9},
        "merges": [["a", "b"], ["\u0120", "a"], ["ab", "c"]],
    }
    valid = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added_token(10, "<s>", "special")],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": bpe,
    }
    text = json.dumps(valid, ensure_ascii=False, separators=(",", ":"))

    def with_(**changes):
        return valid | changes

    def model(**changes):
        return with_(model=bpe | changes)

    def sequence(*steps):
        return with_(pre_tokenizer={"type": "Sequence", "pretokenizers": list(steps)})

    yield "valid", valid
    def split(pattern):
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}

    yield "valid-digits", sequence(digits, byte_level | {"add_prefix_space": True})
    yield "valid-old-merges", model(merges=["#version: 0.2", "a b", "\u0120 a", "ab c"], ignore_merges=True)
    yield "valid-added-tokens", with_(
        added_tokens=[
            added_token(10, "<s>", "special", "rstrip"),
            added_token(11, " ", "lstrip", "rstrip", "normalized"),
            added_token(6, "ab", "single_word"),
            added_token(12, "\u4f60", "lstrip"),
        ]
    )
    for number, scheme in enumerate(json.loads((GOLDEN / "schemes.json").read_text())):
        yield f"valid-scheme-{number}", smaller(scheme["tokenizer"])
    yield "split-backtracks", sequence(split("(a+)+$"), byte_level)
    yield "split-unclosed", sequence(split("(["), byte_level)
    yield "split-empty", sequence(split(""), byte_level)
    yield "split-matches-empty", sequence(split("x*|(?=b)"), byte_level)
    yield "split-keep-out", sequence(split("a\\K(?<=b)|(?=a\\K)"), byte_level)
    yield "split-recursive", sequence(split("(?R)?a(?1)|\\g<0>"), byte_level)
    yield "split-repeats", sequence(split("((a{1,999}){1,999}){1,999}"), byte_level)
    yield "split-verb", sequence(split("(*LIMIT_MATCH=999999999)(*UTF)a"), byte_level)
    yield "replace-grows", with_(
        normalizer={"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaa"}] * 12},
    )  # fmt: skip
    yield "template-unknown-token", with_(
        post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}],
                        "pair": [], "special_tokens": {}},
    )  # fmt: skip
    yield "merge-unknown", model(merges=[["a", "zz"]])
    yield "merge-result-unknown", model(merges=[["b", "a"]])
    yield "merge-empty", model(vocab=bpe["vocab"] | {"": 11}, merges=[["", "a"], ["a", ""], ["", ""]])
    yield "merge-cycle", model(merges=[["a", "b"], ["b", "c"], ["a", "b"]])
    yield "merge-not-a-pair", model(merges=[["a", "b", "c"], ["a"], 3])
    yield "merge-no-space", model(merges=["ab"])
    yield "merge-two-spaces", model(merges=["a  b"])
    yield "merges-long", model(merges=[["a", "n" * 1500]])
    yield "id-huge", model(vocab={"a": 4194303}, merges=[])
    yield "id-beyond-int64", model(vocab={"a": 2**63, "b": 2**64}, merges=[])
    yield "id-negative", model(vocab={"a": -1}, merges=[])
    yield "id-twice", model(vocab={"a": 0, "b": 0}, merges=[])
    yield "id-float", model(vocab={"a": 0.0}, merges=[])
    yield "id-string", model(vocab={"a": "0"}, merges=[])
    yield "vocab-empty", model(vocab={}, merges=[])
    yield "vocab-list", model(vocab=[["a", 0]])
    yield "model-unknown", model(type="WordPiece")
    yield "added-twice", with_(added_tokens=[added_token(10, "x"), added_token(11, "x")])
    yield "added-empty", with_(added_tokens=[added_token(10, "")])
    yield "added-clash", with_(added_tokens=[added_token(0, "x")])
    yield "added-other-id", with_(added_tokens=[added_token(3, "a")])
    yield "added-id-huge", with_(added_tokens=[added_token(4194303, "x")])
    yield "many-byte-levels", sequence(*[{"type": "ByteLevel", "add_prefix_space": True}] * 40)
    yield "many-digits", sequence(*[digits] * 60)
    yield "step-unknown", sequence({"type": "n" * 900})
    nested = byte_level
    for _ in range(25):
        nested = {"type": "Sequence", "pretokenizers": [nested]}
    yield "sequence-nested", with_(pre_tokenizer=nested)
    yield "decoder-missing", without(valid, "decoder")
    yield "key-unknown", with_(**{"k" * 1500: 1})
    yield "truncation", with_(truncation={"max_length": 3})
    yield "deep", "[" * DEEP
    yield "deep-closed", '{"version":' + "[" * 60 + "]" * 60 + "}"
    yield "nan", text.replace('"dropout":null', '"dropout":NaN')
    yield "beyond-double", text.replace('"dropout":null', '"dropout":1e999')
    yield "invalid-utf-8", text.encode().replace(b'"<s>"', b'"\xe2\x82\xff"')
    yield "lone-surrogate", text.replace('"<s>"', '"\\ud83d"')
    yield "null-character", text.replace('"<s>"', '"a\\u0000b"').replace('"version"', '"\\u0000"')
    yield "duplicate-key", text[:-1] + ',"model":{}}'
    yield "truncated", text[:300]


# ---- texts and templates ----


def encode():
    texts = {
        "words": "a ab abc  aa aaaa\n\nb's 12 123! \u00e9 caf\u00e9 \u4f60\u597d \U0001f642",
        "markers": "<s> <l><r>  ab<s><s>\tab aab \u00e9ab<s",
        "white-space": " \t\r\n\u00a0\u1680\u2003\u2028\u3000\u180e\u200b ",
        "invalid": b"ok \xc3(\xa0\xa1\xe2\x82\xf0\x9f\x99\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf",
        "cut-off": b"abc\xf0\x9f\x99",
        "null": "a\0b\x7f\u0080\u00ad",
        "long-run": "a" * 700,
        "spaces": " " * 700,
    }
    for name, text in texts.items():
        text = text.encode() if isinstance(text, str) else text
        for case in range(5):
            if case == 0 or name in ("markers", "white-space"):
                yield f"{name}-{case}", bytes([case]) + text


def chat():
    smollm2 = (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    for number, template in enumerate(json.loads((GOLDEN / "chat.json").read_text())["templates"]):
        if "text" in template:
            config = {key: template[key] for key in ("bos_token", "eos_token") if key in template}
            yield f"valid-{number}", config | {"chat_template": template["text"]}
    yield "valid", smollm2
    yield "valid-json", {"chat_template": smollm2}
    yield "valid-list", {"chat_template": [{"name": "default", "template": smollm2}]}
    yield "valid-layout", (
        "{%- for message in messages -%}\n  {{- '<|im_start|>' ~ message.role }}\n{{ message.content }}"
        '{{ "<|im_end|>\\n" -}}\n{%- endfor -%}\n{% if add_generation_prompt +%}\n<|im_start|>assistant\n{% endif %}\n'
    )
    yield "list-without-default", {"chat_template": [{"name": "tool_use", "template": "x"}]}
    yield "list-of-others", {"chat_template": [1, {"name": "default"}]}
    yield "null", {"chat_template": None}
    yield "number", {"chat_template": 3}
    yield "unknown", "{{ bos_token }}[INST] {{ messages[0]['content'] }} [/INST]"
    yield "comment", "{# a #}"
    yield "unclosed", "{% for"
    yield "unclosed-string", "{{ 'a"
    yield "unclosed-escape", "{{ '\\"
    yield "escapes", "{{ '\\n\\r\\t\\\\\\'\\\"\\x41' }}"
    yield "signs", "{%- a -%}{%+ b +%}{{- c -}}{{+ d +}}{%-%}{{-}}{{}}{"
    yield "line-ends", "a\r\n{% b %}\r\n  {% c %}\r\t {% d %}\n\n"
    yield "many-tags", "{%a%}" * 200
    yield "many-dots", "{{" + ".a" * 400 + "}}"
    yield "invalid-utf-8", b"\xff{{ '\xc3' }}"
    yield "deep", '{"chat_template":' + "[" * DEEP
    yield "lone-surrogate", '{"chat_template":"\\ud800"}'


if __name__ == "__main__":
    for seeds in (safetensors, config, tokenizer, encode, chat):
        write(seeds.__name__, dict(seeds()))
