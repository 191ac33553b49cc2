"""Training text that the base or a student writes: documents, continued texts, both sides of chats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .model import Model, rope

Tensor = torch.Tensor


def gumbel(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One draw from each row of logits [rows, vocabulary] (Gumbel-max)."""
    noise = torch.rand(logits.shape, device=logits.device, generator=generator)
    return (logits - torch.log(-torch.log(noise.clamp_(1e-20, 1 - 1e-7)))).argmax(-1)


@torch.no_grad()
def sample(model: Model, prefixes: list[list[int]], temperatures: Tensor, tokens: int,
           generator: torch.Generator) -> Tensor:  # fmt: skip
    """ids [rows, tokens]: each row goes on from its prefix, with a static KV cache.

    Documents and turns follow one another: an end token does not end a row.
    """
    shape, layers, device = model.shape, model.layers, model.embedding.device
    rows, groups = len(prefixes), shape.heads // shape.kv_heads
    given = torch.full((rows, tokens), -1, dtype=torch.long)
    for row, prefix in enumerate(prefixes):
        given[row, : len(prefix)] = torch.tensor(prefix)
    given = given.to(device)
    longest = max(map(len, prefixes))
    ids = given.clone()
    size = (len(model.plan), rows, shape.kv_heads, tokens, shape.head_dim)
    keys = torch.zeros(size, device=device, dtype=model.embedding.dtype)
    values = torch.zeros_like(keys)
    cos, sin = (t.to(model.embedding.dtype) for t in rope(shape, tokens, device))
    half = shape.head_dim // 2
    turn = lambda x, t: x * cos[t] + torch.cat([-x[..., half:], x[..., :half]], -1) * sin[t]  # noqa: E731
    for t in range(tokens - 1):
        x = model.embedding[ids[:, t]]
        for index, slot in enumerate(model.plan):
            w = layers[slot.layer]
            if slot.attn:
                state = F.rms_norm(x, (shape.hidden,), w["attn_norm"], shape.epsilon)
                q = turn(F.linear(state, w["attn_q"]).view(rows, shape.kv_heads, groups, -1), t)
                keys[index, :, :, t] = turn(F.linear(state, w["attn_k"]).view(rows, shape.kv_heads, -1), t)
                values[index, :, :, t] = F.linear(state, w["attn_v"]).view(rows, shape.kv_heads, -1)
                seen = keys[index, :, :, : t + 1], values[index, :, :, : t + 1]
                mixed = F.scaled_dot_product_attention(q, *seen)
                x = x + F.linear(mixed.reshape(rows, -1), w["attn_output"])
            if slot.mlp:
                state = F.rms_norm(x, (shape.hidden,), w["ffn_norm"], shape.epsilon)
                gated = F.silu(F.linear(state, w["ffn_gate"])) * F.linear(state, w["ffn_up"])
                x = x + F.linear(gated, w["ffn_down"])
        final = F.rms_norm(x, (shape.hidden,), model.norm, shape.epsilon)
        drawn = gumbel(F.linear(final, model.embedding).float() / temperatures[:, None], generator)
        ids[:, t + 1] = drawn if t + 1 >= longest else torch.where(given[:, t + 1] < 0, drawn, given[:, t + 1])
    return ids


def prefixes_of(file: Path, kind: str, rows: int, batch: int) -> list[list[int]]:
    """Rows' prefixes in turn from the list under `kind` in the JSON file that `prepare` wrote."""
    known = json.loads(file.read_text())[kind]
    if not known:
        raise ValueError(f"{file}: nothing to begin {kind} rows with; give prepare a --text")
    return [known[(batch * rows + row) % len(known)] for row in range(rows)]


def sample_rows(model: Model, kind: str, prefixes: Path, rows: int, tokens: int, seed: int,
                batch: int) -> np.ndarray:  # fmt: skip
    """uint16 [rows, tokens]. The first half of the rows is at temperature 1.0, chats' others at 0.8."""
    device = model.embedding.device
    generator = torch.Generator(device).manual_seed(seed * 1009 + batch)
    cool = 0.8 if kind == "chats" else 1.0
    temperatures = torch.ones(rows, device=device)
    temperatures[rows // 2 :] = cool
    ids = sample(model, prefixes_of(prefixes, kind, rows, batch), temperatures, tokens, generator)
    return ids.cpu().numpy().astype(np.uint16)
