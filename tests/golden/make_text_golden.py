# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes text/smollm2.json: what Hugging Face makes of some texts and chats with SmolLM2's tokenizer.

    python make_text_golden.py MODEL_DIR OUT.json

Needs transformers 4.50.0 and tokenizers 0.21. Same versions, same bytes.
"""

import json
import random
import sys

from transformers import AutoTokenizer

TEXTS = [
    "",
    " ",
    "\n",
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog. " * 3,
    "It's 5 o'clock; we'll see what they've done, I'm sure he'd say you're right. DON'T SHOUT, IT'S LL'LL",
    "'s't're've'm'll'd 'S 'LL ’s don’t",
    "  two  spaces   three    four",
    "trailing space ",
    "trailing newline\n",
    "a\n\nb\n\n\nc\r\nd\re\tf\t\tg \n \n h",
    "\n\n\n\n\n\n" + " " * 37 + "\t\t\t" + "x",
    " \t \n \r\n \x0b\x0c end",
    "if (x == 1) {\n\treturn foo->bar[i++] << 2;  // comment\n}\n",
    "def f(a, b=None):\n    '''Doc.'''\n    return {k: v for k, v in a.items() if v != b}\n\n\n",
    "<html><body class=\"a b\">&nbsp;&amp;</body></html>",
    "SELECT * FROM t WHERE a='b''c' -- $1 @x #y ~/z | ^&%",
    "https://example.org/a_b-c/d?e=f%20g&h=i#j user@example.com C:\\dir\\file.txt",
    "3.14159 1,234,567 0xDEADBEEF 1e-10 2026-11-25T14:15:23Z 100% ½ ² ³ ¼ Ⅷ ٣٤٥ १२३ ４５ ①",
    "1234567890" * 3,
    "版本2.0：今天天气很好，我们去公园散步吧。",
    "東京タワーは333メートルです。カタカナ　ひらがな",
    "한국어 문장도 있습니다. 각 vs 각",
    "Привет, мир! Ёлка ёжик",
    "Γειά σου Κόσμε ἀρχή",
    "שלום עולם מה שלומך",
    "مرحبا بالعالم ١٢٣ السَّلَامُ",
    "नमस्ते दुनिया क्षत्रिय",
    "สวัสดีชาวโลก",
    "Ünïcödé café naïve Ångström straße ſ ﬁ Ǆ",
    "u\u0308 e\u0301 a\u030a n\u0303 o\u0302\u0301 cafe\u0301 vs caf\u00e9",
    "🙂 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️ 1️⃣ 🤦🏻‍♂️",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𐍈 𠜎",
    "nbsp\u00a0here \u00a0 \u00a0\u00a0 narrow\u202fand\u2009thin\u3000wide\u2028line\u2029par\u0085nel\u180emvs\u200bzw",
    "\u180e's \u200b's \u0085's \u00a0's",
    "\ufeffbom soft\u00adhyphen word\u2060joiner \u200e\u200frtl \u202bembed\u202c",
    "\x00\x01\x02\x07\x08\x1b[31mred\x1b[0m\x7f\x80\x9f",
    "\ud7ff\ue000\uf8ff\ufffd\ufffe\uffff\U00010000\U0001ffff\U0010ffff",
    "\u07ff\u0800\u007f\u0080 \U000e0001\U000e0041",
    "Unicode 15 and 16: \U00011f50 \U0001ccf0 \U00031350's \ua7cb's \U0001e4d0's \U000105c0's",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|endoftext|>",
    "a<|im_end|>b <|im_end|> c<|im_end|><|im_end|>",
    "<|im_start|",
    "<|im_start|><|im_start|>x<|im_end|",
    "<reponame><repo_name>r<file_sep><filename>f<gh_stars>1<issue_start><issue_comment><issue_closed>",
    "<jupyter_start><jupyter_text>t<jupyter_code>1<jupyter_output>2<jupyter_script><empty_output>",
    "<filename <filename>> <<filename>",
    "<|IM_START|> < |im_start|>",
    "a" * 300,
    "ab" * 100,
    " " * 200,
    "\n" * 50,
    "-" * 120 + "=" * 77,
    "!?!?!?..." * 10,
    "。" * 40,
    "é" * 40,
    "e\u0301" * 30,
    "👍" * 12,
    "Supercalifragilisticexpialidocious antidisestablishmentarianism",
    "x'y'z 'tis 'twas rock'n'roll y'all'd've",
    "#!/bin/sh\nset -eu\nfor f in *.txt; do echo \"$f\" | sed 's/a/b/'; done\n",
    '{"key": [1, 2.5, -3e4, null, true], "s": "\\u00e9\\n"}',
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n\n- [ ] item\n* *it* **b** `c`\n",
    "E = mc² ∑∫∂√∞ ≈≠≤≥ αβγ → ⇒ ∀x∈ℝ",
    "“quotes” ‘single’ «guillemets» – — … • † ™ © ® € £ ¥",
]

CHATS = [
    [("user", "Hello")],
    [("system", "Be brief."), ("user", "Hello")],
    [("user", "")],
    [("system", ""), ("user", "x")],
    [("user", "  spaces kept \n\n"), ("assistant", "Sure.\nTwo lines."), ("user", "你好 🙂")],
    [("system", "S"), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")],
    [("user", "markers <|im_end|>\n<|im_start|>system\nin content")],
    [("tool", "other role"), ("user", "q")],
    [("user", "late"), ("system", "system")],
    [("assistant", "alone")],
]


def fuzz(count):
    """Texts that mix a few alphabets each."""
    draw = random.Random(20261125)
    alphabets = [
        lambda: chr(draw.randrange(32, 127)),
        lambda: chr(draw.randrange(0, 0x250)),
        lambda: chr(draw.choice([draw.randrange(0, 0xD800), draw.randrange(0xE000, 0x110000)])),
        lambda: draw.choice(" \n\t\r\u00a0\u3000\u2028\u180e\u200b\u0085"),
        lambda: draw.choice(["<|im_start|>", "<|im_end|>", "<filename>", "<|im", "'s", "'ll", "  "]),
        lambda: chr(draw.randrange(0x4E00, 0x9FFF)),
        lambda: chr(draw.randrange(0x1F300, 0x1FAFF)),
        lambda: draw.choice("0123456789٣४²½Ⅷ"),
        lambda: chr(draw.randrange(0x300, 0x370)),
        lambda: draw.choice(["the", " hello", "World", "return", " def"]),
    ]
    for _ in range(count):
        chosen = draw.sample(alphabets, draw.randrange(1, 6))
        yield "".join(draw.choice(chosen)() for _ in range(draw.randrange(1, 40)))


def main(model, out):
    tokenizer = AutoTokenizer.from_pretrained(model)
    plain = tokenizer.backend_tokenizer
    texts = []
    for text in [*TEXTS, *fuzz(90)]:
        ids = plain.encode(text).ids
        entry = {"text": text, "ids": ids}
        # Left out where it is the text itself.
        decoded = plain.decode(ids, skip_special_tokens=False)
        skipped = plain.decode(ids, skip_special_tokens=True)
        if decoded != text:
            entry["decoded"] = decoded
        if skipped != decoded:
            entry["skipped"] = skipped
        texts.append(entry)
    cut = []  # any id may end in half a character
    draw = random.Random(7)
    for _ in range(40):
        ids = [draw.randrange(plain.get_vocab_size()) for _ in range(3)]
        ids += [plain.token_to_id(c) for c in draw.sample("ðŁĺĤãĢģâĢ¦éÃ", 6) if plain.token_to_id(c)]
        draw.shuffle(ids)
        cut.append({"ids": ids, "decoded": plain.decode(ids, skip_special_tokens=False)})
    chats = []
    for chat in CHATS:
        messages = [{"role": role, "content": content} for role, content in chat]
        prompt, closed = (
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
            for prompt in (True, False)
        )
        chats.append({"messages": messages, "prompt": prompt, "closed": closed})
    with open(out, "w", encoding="ascii") as file:
        rows = lambda name, items: f'"{name}": [\n' + ",\n".join(json.dumps(i, separators=(",", ":")) for i in items) + "\n]"
        file.write("{\n" + ",\n".join([rows("texts", texts), rows("cut", cut), rows("chats", chats)]) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
