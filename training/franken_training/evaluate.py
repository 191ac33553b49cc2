"""Scores of a model in fp32: HellaSwag, WikiText-2, and agreement with the base on its own chats.

The texts come tokenized from `prepare`; they are read here only, never by training.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from .model import Model

Tensor = torch.Tensor
BOS, END = 1, 2
ANSWER = (1, 520, 9531, 198)  # <|im_start|>assistant\n


def padded(rows: list[np.ndarray], device: torch.device) -> Tensor:
    """ids [rows, longest] with zeros after each row's end, which causal attention never sees."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return torch.from_numpy(ids).to(device)


def batches(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Indices in groups of alike lengths, each group of at most `tokens` padded tokens."""
    groups: list[list[int]] = [[]]
    for index in np.argsort(lengths, kind="stable"):
        if groups[-1] and (len(groups[-1]) + 1) * lengths[index] > tokens:
            groups.append([])
        groups[-1].append(int(index))
    return [np.array(group) for group in groups]


@torch.no_grad()
def hellaswag(model: Model, file: Path, items: int | None = None, tokens: int = 65536) -> dict:
    """acc and acc_norm in percent with standard errors, as lm-evaluation-harness `hellaswag` 1.0.

    `items` takes the sample: items 3, 13, 23, … of the file, the first `items` of them.
    """
    stored = np.load(file)
    flat, meta = stored["flat"].astype(np.int64), stored["meta"]
    if items is not None:
        meta = meta[np.isin(meta[:, 0], np.arange(3, len(meta) // 4, 10)[:items])]
    sums = np.zeros(len(meta))
    device = model.embedding.device
    for group in batches(meta[:, 4], tokens):
        rows = [flat[m[3] : m[3] + m[4]] for m in meta[group]]
        ids = padded(rows, device)
        column = torch.arange(ids.shape[1], device=device)[None]
        begin, end = (torch.from_numpy(meta[group, c]).to(device)[:, None] for c in (5, 4))
        scored = (column >= begin - 1) & (column < end - 1)
        found = model.log_likelihoods(model.hidden(ids)[scored], ids.roll(-1, 1)[scored])
        row = torch.nonzero(scored)[:, 0]
        total = torch.zeros(len(group), dtype=torch.float64, device=device)
        sums[group] = total.index_add_(0, row, found.double()).cpu().numpy()
    scores, sizes, labels = sums.reshape(-1, 4), meta[:, 6].reshape(-1, 4), meta[::4, 2]
    right = {"acc": scores.argmax(1) == labels, "acc_norm": (scores / sizes).argmax(1) == labels}
    result: dict = {"items": len(labels)}
    for name, hits in right.items():
        result[name] = 100 * float(hits.mean())
        result[f"{name}_stderr"] = 100 * float(hits.std(ddof=1) / math.sqrt(len(hits)))
    return result


@torch.no_grad()
def wikitext(model: Model, file: Path, pages: int | None = None, window: int = 2048) -> dict:
    """Word perplexity and bits a byte of WikiText-2, as lm-evaluation-harness `wikitext` 2.0."""
    stored = np.load(file)
    flat, meta = stored["flat"].astype(np.int64), stored["meta"][:pages]
    contexts, targets = [], []
    for start, length, _, _ in meta:
        ids = flat[start : start + length]
        for at in range(0, length, window):
            end = min(at + window, length)
            first = [BOS] if at == 0 else []
            contexts.append(np.concatenate([first, ids[max(0, end - window - 1) if at else 0 : end - 1]]))
            targets.append(ids[at:end])
    device = model.embedding.device
    total = 0.0
    for group in batches(np.array([len(c) for c in contexts]), 16 * window):
        ids = padded([contexts[i].astype(np.int64) for i in group], device)
        states = model.hidden(ids)
        for row, index in enumerate(group):
            size = len(targets[index])
            last = len(contexts[index])
            goal = torch.from_numpy(targets[index]).to(device)
            found = model.log_likelihoods(states[row, last - size : last], goal)
            total += float(found.double().sum())
    words, octets = int(meta[:, 2].sum()), int(meta[:, 3].sum())
    return {
        "pages": len(meta),
        "word_perplexity": math.exp(-total / words),
        "bits_per_byte": -total / octets / math.log(2),
    }


def answers_mask(ids: np.ndarray) -> np.ndarray:
    """True [rows, tokens] where the next token belongs to an assistant's answer, its end included."""
    mask = np.zeros(ids.shape, bool)
    for r, row in enumerate(ids):
        inside = False
        for t in range(len(row) - 1):
            if t >= 3 and tuple(row[t - 3 : t + 1]) == ANSWER:
                inside = True
            mask[r, t] = inside
            if inside and row[t + 1] == END:
                inside = False
    return mask


@torch.no_grad()
def agreement(model: Model, base: Model, rows: np.ndarray, batch: int = 8) -> dict:
    """Top-1 agreement (percent) and KL(base || model), nats a token, over tokens of answers."""
    mask = answers_mask(rows)
    device = model.embedding.device
    divergence = matches = count = 0.0
    for at in range(0, len(rows), batch):
        ids = torch.from_numpy(rows[at : at + batch].astype(np.int64)).to(device)
        keep = torch.from_numpy(mask[at : at + batch]).to(device)
        ours, theirs = model.hidden(ids)[keep], base.hidden(ids)[keep]
        for c in range(0, len(ours), 4096):
            p = (theirs[c : c + 4096] @ base.embedding.T).float().log_softmax(-1)
            q = (ours[c : c + 4096] @ model.embedding.T).float().log_softmax(-1)
            divergence += float((p.exp() * (p - q)).sum())
            matches += float((p.argmax(-1) == q.argmax(-1)).sum())
        count += len(ours)
    share = matches / count
    return {
        "tokens": int(count),
        "top1": 100 * share,
        "top1_stderr": 100 * math.sqrt(share * (1 - share) / count),
        "kl": divergence / count,
    }


@torch.no_grad()
def greedy(model: Model, prompts: list[list[int]], tokens: int) -> list[list[int]]:
    """The likeliest continuation of each prompt, up to an end token; without a KV cache."""
    answers = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(tokens):
            states = model.hidden(torch.tensor([ids], device=model.embedding.device))
            chosen = int((states[0, -1] @ model.embedding.T).argmax())
            if chosen == END:
                break
            ids.append(chosen)
        answers.append(ids[len(prompt) :])
    return answers
