"""Tokenizes training text, tasks and prefixes with the tokenizer inside the GGUF."""

from __future__ import annotations

import argparse
import gzip
import json
import re
from pathlib import Path

import numpy as np

from .corpus import HELD_ROWS

DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
SYSTEMS = (
    "You are a helpful assistant.",
    "You are a concise assistant. Answer in one or two sentences.",
    "You are a patient teacher who explains things step by step.",
    "You are an experienced software engineer.",
    "You are a friendly travel guide.",
    "You are a careful editor. Rewrite what the user gives you.",
    "You are a science writer for a general audience.",
    "You are a cook who helps with recipes and meal plans.",
    "You summarize texts. Keep to the facts of the text.",
    "You are a poet.",
    "You answer questions about history.",
    "You are a customer support agent of an online shop.",
    "You are a mathematics tutor.",
    "You are a fitness and health coach.",
    "You write short stories for children.",
    "You are a translator and language teacher.",
)


class Encoder:
    """Text to token ids, without special tokens of its own."""

    def __init__(self, file: Path) -> None:
        from transformers import AutoTokenizer

        made = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        self.backend = made.backend_tokenizer

    def __call__(self, text: str) -> list[int]:
        return self.backend.encode(text, add_special_tokens=False).ids

    def long(self, text: str, piece: int = 100_000) -> list[int]:
        """The same for long texts, cut into pieces of that many characters."""
        parts = [text[at : at + piece] for at in range(0, len(text), piece)]
        found = self.backend.encode_batch(parts, add_special_tokens=False)
        return [id for part in found for id in part.ids]


def read_text(file: Path) -> str:
    """A plain or gzipped text file."""
    return (gzip.open(file, "rt") if file.suffix == ".gz" else file.open()).read()


def hellaswag_text(text: str) -> str:
    """lm-evaluation-harness's clean-up of contexts and endings."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def hellaswag(lines: list[str], encode: Encoder) -> dict[str, np.ndarray]:
    """`flat` ids, and `meta` [endings, 7]: item, ending, label, start, length, context length,
    characters of the ending."""
    flat: list[int] = []
    meta = []
    for item, line in enumerate(lines):
        d = json.loads(line)
        context = hellaswag_text(f"{d['activity_label']}: {d['ctx_a']} {d['ctx_b'].capitalize()}")
        size = len(encode(context))
        for index, ending in enumerate(map(hellaswag_text, d["endings"])):
            ids = encode(f"{context} {ending}")
            meta.append((item, index, int(d["label"]), len(flat), len(ids), size, len(ending)))
            flat += ids
    return {"flat": np.array(flat, np.uint16), "meta": np.array(meta, np.int32)}


def pages_of(text: str) -> list[str]:
    """WikiText-2's pages, each from its ` = Title = ` line."""
    pages: list[str] = []
    page: list[str] = []
    for line in text.split("\n"):
        if re.match(r"^ = [^=].* = $", line) and any(part.strip() for part in page):
            pages.append("\n".join(page))
            page = []
        page.append(line)
    return [*pages, "\n".join(page)]


def detokenized(text: str) -> str:
    """lm-evaluation-harness's `wikitext_detokenizer`, replacement by replacement."""
    text = re.sub(r"/' [0-9]/", r"/'[0-9]/", text.replace("s '", "s'"))
    for old, new in ((" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "), (" ; ", "; "),
                     (" . ", ". "), (" ! ", "! "), (" ? ", "? "), (" , ", ", ")):  # fmt: skip
        text = text.replace(old, new)
    for old, new in ((r"\(\s*([^\)]*?)\s*\)", r"(\1)"), (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
                     (r"{\s*([^}]*?)\s*}", r"{\1}"), (r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
                     (r"'\s*([^']*?)\s*'", r"'\1'")):  # fmt: skip
        text = re.sub(old, new, text)
    for old, new in (("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" ° ", "°"),
                     (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")):  # fmt: skip
        text = text.replace(old, new)
    return text


def wikitext(text: str, encode: Encoder) -> dict[str, np.ndarray]:
    """`flat` ids, and `meta` [pages, 4]: start, length, words, bytes of the original page."""
    flat: list[int] = []
    meta = []
    for page in pages_of(text):
        ids = encode(detokenized(page))
        meta.append((len(flat), len(ids), len(re.split(r"\s+", page)), len(page.encode())))
        flat += ids
    return {"flat": np.array(flat, np.uint16), "meta": np.array(meta, np.int32)}


# A continued row begins with so many tokens of a real text, one row in each window of so many.
BEGINNING, WINDOW = 32, 768


def beginnings(ids: list[int]) -> list[list[int]]:
    """What the base goes on from when it continues a text, from all over the text."""
    return [ids[at : at + BEGINNING] for at in range(0, len(ids) - BEGINNING, WINDOW)]


def prefixes(encode: Encoder, texts: list[list[int]]) -> dict[str, list[list[int]]]:
    """What sampled rows begin with: half of the chats have the template's own system turn."""
    turn = lambda system: encode(f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n")  # noqa: E731
    own = turn(DEFAULT_SYSTEM)
    return {
        "chats": [p for system in SYSTEMS for p in (own, turn(system))],
        "docs": [encode("<|endoftext|>")],
        "continued": [begin for ids in texts for begin in beginnings(ids)],
    }


def prepare(args: argparse.Namespace) -> None:
    """Writes NAME.npz for each text, hs.npz, wt.npz, held.npy and prefixes.json into `args.out`."""
    args.out.mkdir(parents=True, exist_ok=True)
    encode = Encoder(args.gguf)
    texts = []
    for name, file in (t.split("=", 1) for t in args.text):
        ids = encode.long(read_text(Path(file)))
        texts.append(ids)
        np.savez_compressed(args.out / f"{name}.npz", ids=np.array(ids, np.uint16))
        print(f"{name}: {len(ids)} tokens", flush=True)
    (args.out / "prefixes.json").write_text(json.dumps(prefixes(encode, texts)))
    if args.hellaswag:
        made = hellaswag(args.hellaswag.read_text().splitlines(), encode)
        np.savez_compressed(args.out / "hs.npz", **made)
    if args.wikitext:
        np.savez_compressed(args.out / "wt.npz", **wikitext(args.wikitext.read_text(), encode))
    if args.held:
        np.save(args.out / "held.npy", np.load(args.held)["ids"][:HELD_ROWS])
