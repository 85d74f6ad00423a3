# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes text/schemes.json: tiny tokenizers of every scheme and what Hugging Face makes of some texts and ids with them.

    python make_scheme_golden.py OUT.json

Needs tokenizers 0.21. Same version, same bytes. Left out of an entry: "plain" (no special tokens) where it is "ids",
"decoded" where it is "text", "skipped" where it is "decoded".
"""

import json
import random
import sys

from tokenizers import Tokenizer

from make_tokenizers import LLAMA3_SPLIT, QWEN2_SPLIT, byte_alphabet

MARK = "\u2581"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K_SPLIT = (  # Phi-4-mini's
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{TAIL}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{TAIL}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = "the hello we'll it's aaa 1234 THE Hello \u4eca\u5929 \u00e9\u00e9 ...".split()
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def model(pieces, words, **settings):
    """BPE that merges each of `words` from its left, by way of its beginnings."""
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    merges = []
    for word in words:
        for end in range(2, len(word) + 1):
            merge = [word[: end - 1], word[end - 1 : end]]
            for piece in [*merge, word[:end]]:
                vocabulary.setdefault(piece, len(vocabulary))
            if merge not in merges:
                merges.append(merge)
    settings = {"dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False, **settings}
    return {"type": "BPE", "vocab": vocabulary, "merges": merges, **settings}


def byte_level_model(**settings):
    alphabet = byte_alphabet()
    spelt = ["".join(alphabet[byte] for byte in word.encode()) for word in [*WORDS, " the", " hello", "\n\n", "  "]]
    return model(alphabet.values(), spelt, **settings)


def sentencepiece_model(byte_tokens, across=(), **settings):
    """`across`: tokens that hold a mark after other characters, as real ones do not."""
    bytes_ = [f"<0x{byte:02X}>" for byte in byte_tokens]
    words = [*WORDS, *(MARK + word for word in WORDS), MARK * 2, *across]
    return model(["<unk>", "<s>", "</s>", *bytes_, MARK], words, unk_token="<unk>", **settings)


def tokenizer(model, added, *, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None):
    ids = model["vocab"]
    tokens = []
    for content, flags in added.items():
        free = len(ids) + sum(token["content"] not in ids for token in tokens)
        token = {"id": ids.get(content, free), "content": content, "single_word": False, "lstrip": False, "rstrip": False}
        tokens.append({**token, "normalized": False, "special": True, **flags})
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder or BYTE_LEVEL, "model": model,
    }  # fmt: skip


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def template(before, after=()):
    piece = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    special = {token: {"id": token, "ids": [id], "tokens": [token]} for token, id in [*before, *after]}
    single = [*(piece(token) for token, _ in before), text, *(piece(token) for token, _ in after)]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def schemes():
    marked = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
    spaced = {"type": "Replace", "pattern": {"String": MARK}, "content": " "}
    chain = [spaced, {"type": "ByteFallback"}, {"type": "Fuse"}]
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    plain = {"<unk>": {}, "<s>": {}, "</s>": {}}
    chat = {"<|user|>": {"rstrip": True}, "<|end|>": {"rstrip": True}, "<|x|>": {"lstrip": True, "special": False}}
    metaspace = lambda scheme, split: {
        "type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": split,
    }  # fmt: skip
    byte_level = byte_level_model()
    end = len(byte_level["vocab"])
    yield "llama 3", tokenizer(
        byte_level_model(ignore_merges=True),
        {"<s>": {}, "<|end|>": {}},
        pre_tokenizer=sequence("pretokenizers", split({"Regex": LLAMA3_SPLIT}), BYTE_LEVEL),
        post_processor=sequence("processors", BYTE_LEVEL, template([("<s>", end)])),
    )
    yield "qwen2", tokenizer(
        byte_level,
        {"<|user|>": {}, "<|end|>": {}},
        normalizer={"type": "NFC"},
        pre_tokenizer=sequence("pretokenizers", split({"Regex": QWEN2_SPLIT}), BYTE_LEVEL),
        post_processor=BYTE_LEVEL,
    )
    yield "phi-4-mini", tokenizer(
        byte_level, chat, pre_tokenizer=sequence("pretokenizers", split({"Regex": O200K_SPLIT}), BYTE_LEVEL)
    )
    yield "llama 2 and phi-3.5", tokenizer(
        sentencepiece_model(range(256), byte_fallback=True, fuse_unk=True),
        {**plain, **chat},
        normalizer=sequence("normalizers", {"type": "Prepend", "prepend": MARK}, marked),
        post_processor=template([("<s>", 1)], [("</s>", 2)]),
        decoder=sequence("decoders", *chain, strip),
    )
    yield "llama 2, newer conversion", tokenizer(
        sentencepiece_model([*range(128), 0xE4, 0xAD, 0xF0], byte_fallback=True, fuse_unk=True),
        {**plain, "hello": {"normalized": True, "single_word": True}},
        pre_tokenizer=metaspace("first", False),
        post_processor=template([("<s>", 1)]),
        decoder=sequence("decoders", *chain),
    )
    yield "metaspace, unknowns one by one", tokenizer(
        sentencepiece_model([], fuse_unk=False),
        {**plain, "THE": {"normalized": True, "lstrip": True, "rstrip": True}},
        pre_tokenizer=metaspace("always", True),
        decoder=metaspace("always", True),
    )
    yield "normalized added tokens", tokenizer(
        sentencepiece_model(range(256), ["the" + MARK, f"a{MARK}b", f"x{MARK}hello"], byte_fallback=True),
        {"</s>": {"normalized": True}, "it's": {"normalized": True, "special": False}, "<s>": {"single_word": True}},
        normalizer=sequence("normalizers", {"type": "Prepend", "prepend": MARK}, marked),
        pre_tokenizer=metaspace("never", False),
        decoder=sequence("decoders", *chain, strip),
    )
    yield "splits of every behaviour", tokenizer(
        model([*" abc,-."], ["a,", "-b", "cc", "ab", "bc", ".."], unk_token="-"),
        {},
        normalizer={"type": "Replace", "pattern": {"Regex": "[\\sx]+"}, "content": " "},
        pre_tokenizer=sequence(
            "pretokenizers",
            split({"String": " "}, "Removed"),
            split({"Regex": ","}, "MergedWithPrevious"),
            split({"Regex": "-"}, "MergedWithNext"),
            split({"Regex": "[ab]+"}, "Contiguous", True),
            split({"Regex": "c*"}),
        ),
        decoder=sequence("decoders", {"type": "Fuse"}),
    )


def texts(draw):
    yield from ["", " ", "  ", "the", " the", "hello", "we'll hello  the\n\n", "e\u0301 A\u030a", "<s>", "</s> <s> x"]
    yield from ["<|user|>\n hello<|end|>\n\n<|x|>", "a  <|x|> b", "shello hello, hellos", "it's  it's</s></s> "]
    parts = [*WORDS, " ", " ", "  ", "\n", "a", "b", "c", ",", "-", ".", "x", MARK, "<s>", "</s>", "<|user|>", "<|end|>"]
    parts += ["<|x|>", "<unk>", "<0x41>", "\u4e2d", "\U0001f642", "\u0301", "\u017f", "\u00bd", "\t", "\u3000", "Ab", "'S"]
    for _ in range(40):
        yield "".join(draw.choice(parts) for _ in range(draw.randrange(1, 12)))


def main(out):
    rows = []
    for name, file in schemes():
        draw = random.Random(11)
        backend = Tokenizer.from_str(json.dumps(file))
        entries = []
        for text in texts(draw):
            ids = backend.encode(text).ids
            plain = backend.encode(text, add_special_tokens=False).ids
            entries.append({"text": text, "ids": ids, **({"plain": plain} if plain != ids else {})})
        ids = sorted(backend.get_vocab(with_added_tokens=True).values())
        entries += [{"ids": [draw.choice(ids) for _ in range(draw.randrange(1, 9))]} for _ in range(40)]
        for entry in entries:
            decoded = backend.decode(entry["ids"], skip_special_tokens=False)
            skipped = backend.decode(entry["ids"], skip_special_tokens=True)
            entry.update({"decoded": decoded} if decoded != entry.get("text") else {})
            entry.update({"skipped": skipped} if skipped != decoded else {})
        rows.append(json.dumps({"name": name, "tokenizer": file, "entries": entries}, separators=(",", ":")))
    with open(out, "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1])
