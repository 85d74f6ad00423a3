# SPDX-FileCopyrightText: 2026 The promptdistill authors
# SPDX-License-Identifier: Apache-2.0
"""Writes metrics.json: scores of made-up replies by the Python packages and definitions that the metrics restate.

    pip install rouge==1.0.1 fuzzywuzzy==0.18.0     (without python-Levenshtein, which scores otherwise)
    python make_metrics_golden.py OUT.json

rouge_l and edit_similarity are the packages' own results; the others are LongBench's, RULER's and InfiniteBench's
definitions, written here in Python, whose str methods and re are part of them. Same versions, same bytes.
"""
import collections
import json
import random
import re
import string
import sys

from fuzzywuzzy import fuzz
from rouge import Rouge

WORDS = """the a an The A and of to in is it was river bridge Bridge stone 1847 1612 42 7 007 paragraph Paragraph 3 30
over under painted orange Müller café naïve Straße ΟΔΟΣ Σίσυφος İstanbul 北京 大学 段落 12 ٣٤ x² don't it's "quoted"
(aside) end-of-line semi;colon a.b e.g. Dr. U.S.A. -- … “curly” O'Neil's cello trumpet a's the, an. ½ Ⅷ _under_ under_score
""".split()
SPACES = [" "] * 12 + ["  ", "\n", "\t", "\u00a0", "\u2003", "\x1f", " \n "]
PUNCTUATION = [""] * 12 + [".", ".", ",", "!", "?", ":", "..", ". "]
CLASSES = ["Location", "Other location", "City", "City name", "Number", "Number of something", "Person", "Per"]


def text(rng, most):
    out = ""
    for _ in range(rng.randrange(most + 1)):
        out += rng.choice(WORDS) + rng.choice(PUNCTUATION) + rng.choice(SPACES)
    return out if rng.random() < 0.5 else out.strip()


def changed(rng, reference):
    """A reply that shares parts with its reference."""
    words = reference.split(" ")
    for _ in range(rng.randrange(1 + len(words))):
        at = rng.randrange(len(words))
        action = rng.randrange(4)
        if action == 0:
            words[at] = rng.choice(WORDS)
        elif action == 1:
            words.insert(at, rng.choice(WORDS) + rng.choice(PUNCTUATION))
        elif action == 2 and len(words) > 1:
            del words[at]
        else:
            words[at:] = words[at:][::-1]
    return " ".join(words)


def code(rng, most):
    names = ["self", "value", "index", "count", "node", "result", "return", "for", "in", "(x)", "[i]", "=", "+=", "==", "#", "//", "`"]
    weights = [6] * 14 + [1] * 3
    lines = [" ".join(rng.choices(names, weights, k=rng.randrange(1, 9))) for _ in range(rng.randrange(1, most))]
    return rng.choice(["", "", "\n", "\n\n"]) + "\n".join(lines)


def token_f1(reply, reference):
    def normal(answer):
        answer = "".join(c for c in answer.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", answer).split()

    own, theirs = normal(reply), normal(reference)
    same = sum((collections.Counter(own) & collections.Counter(theirs)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(own), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def rouge_l(reply, reference):
    try:
        return Rouge().get_scores([reply], [reference], avg=True)["rouge-l"]["f"]
    except ValueError:  # An empty side.
        return 0.0


def edit_similarity(reply, reference):
    first = ""
    for line in reply.lstrip("\n").split("\n"):
        if not any(mark in line for mark in ("`", "#", "//")):
            first = line
            break
    return fuzz.ratio(first, reference) / 100


def classification(reply, reference):
    found = [name for name in CLASSES if name in reply]
    found = [name for name in found if name == reference or name not in reference]
    return 1 / len(found) if reference in found else 0.0


def number_share(reply, reference):
    found = re.findall(r"\d+", reply)
    return found.count(reference) / len(found) if found else 0.0


def retrieval(reply, reference):
    wanted = re.findall(r"(?:Paragraph |段落)(\d+)", reference)[0]
    return number_share(reply, wanted)


def string_share(reply, references):
    return sum(wanted.lower() in reply.lower() for wanted in references) / len(references)


def spaced(reply, characters):
    return "".join(" " if c in characters else c for c in reply)


def kv_retrieval(reply, answer):
    return float(answer in spaced(reply, "\n:\"'.,?!{}").split())


def passkey(reply, answer):
    return float((re.findall("[0-9]+", reply) or [None])[0] == answer)


def math_find(reply, answer):
    found = re.search(r"\d+\.\d+|\d+", reply)
    return float(found is not None and float(found[0]) == float(answer))


def code_run(reply, answer):
    try:
        return float(int(spaced(reply.strip(), "\n.`'\":").split()[-1]) == int(answer))
    except (IndexError, ValueError):
        return 0.0


def follows(reply, phrases, wanted):
    """Whether one of `wanted` stands a character behind the first phrase that occurs; None where none does."""
    for phrase in phrases:
        before, found, behind = reply.partition(phrase)
        if found:
            return len(behind) > 0 and behind[1:].startswith(tuple(wanted))
    return None


def code_debug(reply, reference):
    name, letter = reference
    reply = reply.strip()
    if reply.startswith((letter + ".", letter + ":")):
        return 1.0
    reply = re.sub("[Oo]ption", " ", spaced(reply, "\n`'\"-*"))
    return float(bool(follows(re.sub(" +", " ", reply), ["answer is:", "is:", "answer:"], [letter, name])))


def choice(reply, reference):
    reply = reply.strip()
    if not reply:
        return 0.0
    if reply[0] in "ABCD":
        return float(reply[0] in reference)
    if reply in reference:
        return 1.0
    reply = re.sub(" +", " ", spaced(reply, "\n\"'.,?!{}"))
    told = follows(reply, ["answer is:", "answer:", "answer is", "option is"], reference)
    if told is not None:
        return float(told)
    return float(next((word for word in reply.split() if word in "ABCD"), None) in reference)


def dialogue(reply, names):
    words = [word.upper() for word in spaced(reply, "\n:\"'.,?!{}").split()]
    return float(any(name.upper() in words for name in names))


def infinite_bench(rng, add):
    parts = """the answer is: answer: is: Answer option Option The correct is A B C D A. B: C. AB - * ' " ` ( ) { } , . ?
    the river find_path Rachel RACHEL Ray Rachelle's 42 7 3.5 3.50 12. .5 -7 007 1847 it\n\n and\n 0a-1b key: 0a-1b
    """.replace("answer is:", "answer_is:").split(" ")
    parts = [part.strip("\n ") + ("\n" if "\n" in part else "") for part in parts if part.strip()]
    for _ in range(210):
        reply = "".join(rng.choice(parts).replace("_is:", " is:") + rng.choice([" "] * 6 + ["", "  ", "\n"])
                        for _ in range(rng.randrange(8)))
        letter = rng.choice("ABCD")
        option = rng.choice(["find_path", "the river", "Rachel"])
        wanted = rng.choice(["answer is: ", "is: ", "answer: ", "option is ", "answer is "])
        told = rng.choice(["", reply + " "]) + wanted + rng.choice([letter, option, letter + ".", "maybe " + letter])
        said = rng.choice([reply, told, told + " " + reply, option, letter, letter + ": " + reply])
        add("kv_retrieval", reply, "0a-1b", kv_retrieval(reply, "0a-1b"))
        number = rng.choice(["42", "7", "1847", "3"])
        number_reply = reply + rng.choice(["", number, " " + number, " " + number + "."])
        add("passkey", number_reply, number, passkey(number_reply, number))
        decimal = rng.choice(["42", "7", "3.5", "12.25", "0.5"])
        decimal_reply = re.sub(r"\d", "", reply) + rng.choice(["", decimal, decimal + "0", decimal + "1", decimal + "."])
        add("math_find", decimal_reply, decimal, math_find(decimal_reply, decimal))
        number = rng.choice(["42", "-7", "7", "0"])
        run_reply = reply + rng.choice(["", number, "`" + number + "`.", "0" + number, "+" + number, number + "\n"])
        add("code_run", run_reply, number, code_run(run_reply, number))
        add("code_debug", said, [option, letter], code_debug(said, [option, letter]))
        add("choice", said, [option, letter], choice(said, [option, letter]))
        names = rng.choice([["RACHEL"], ["Ray", "Rachelle"], ["river", "nobody"]])
        add("dialogue", reply, names, dialogue(reply, names))


def main(path):
    rng, pairs = random.Random(6), []

    def add(metric, reply, reference, score):
        pairs.append({"metric": metric, "reply": reply, "reference": reference, "score": score})

    for i in range(210):
        reference = text(rng, 18)
        reply = changed(rng, reference) if i % 3 else text(rng, 18)
        add("token_f1", reply, reference, token_f1(reply, reference))
        add("rouge_l", reply, reference, rouge_l(reply, reference))
        reference = code(rng, 2) if i % 4 else code(rng, 2) * 12  # Long ones have popular characters.
        reply = code(rng, 4) if i % 3 else changed(rng, reference) + "\n" + code(rng, 3)
        add("edit_similarity", reply, reference, edit_similarity(reply, reference))
        reference = rng.choice(CLASSES)
        reply = " ".join(rng.choices(CLASSES + ["It is", "maybe", *[reference] * 5], k=rng.randrange(4)))
        add("classification", reply, reference, classification(reply, reference))
        reference = rng.choice(["1847", "42", "7", "3", "12", "30"])
        reply = changed(rng, text(rng, 12) + " " + reference)
        add("number_share", reply, reference, number_share(reply, reference))
        reference = rng.choice(["Paragraph ", "段落"]) + reference
        add("retrieval", reply, reference, retrieval(reply, reference))
        references = rng.sample(WORDS, 3)
        reply += " " + rng.choice(references).upper()
        add("string_share", reply, references, string_share(reply, references))
    infinite_bench(random.Random(7), add)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"classes": CLASSES, "pairs": pairs}, file, ensure_ascii=False, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
