"""The LLaMA forward pass over a plan, for training (compiled, bf16) and for scores (fp32)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .checkpoint import ATTENTION, MLP, Checkpoint, Shape

Tensor = torch.Tensor


@dataclass(frozen=True)
class Slot:
    """One step of a plan: which layer's tensors, and which of its sublayers run."""

    layer: int
    attn: bool = True
    mlp: bool = True


Plan = tuple[Slot, ...]


def whole(layers: int) -> Plan:
    """Every layer once, in order."""
    return tuple(Slot(layer) for layer in range(layers))


def parse_plan(text: str) -> Plan:
    """Reads '0,1m,3-5': layers in order; `a` after a number keeps its attention only, `m` its MLP."""
    slots: list[Slot] = []
    for part in text.split(","):
        kind = part[-1] if part[-1:] in ("a", "m") else ""
        first, _, last = part.removesuffix(kind).partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ValueError(f"'{part}' in plan '{text}' is not a layer, a range, or one with a or m")
        for layer in range(int(first), int(last or first) + 1):
            slots.append(Slot(layer, attn=kind != "m", mlp=kind != "a"))
    return tuple(slots)


def rope(shape: Shape, tokens: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Cosines and sines [tokens, head_dim] for halves that turn together, float32."""
    steps = torch.arange(0, shape.head_dim, 2, device=device).float() / shape.head_dim
    angles = torch.outer(torch.arange(tokens, device=device).float(), shape.rope_base**-steps)
    return torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE of x [batch, heads, tokens, head_dim], computed in float32."""
    low, high = x.float().chunk(2, -1)
    return (x.float() * cos + torch.cat([-high, low], -1) * sin).to(x.dtype)


def attention(
    x: Tensor, norm: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor,
    cos: Tensor, sin: Tensor, epsilon: float,
) -> Tensor:  # fmt: skip
    """x [batch, tokens, hidden] plus its causal attention."""
    batch, tokens, hidden = x.shape
    dim = cos.shape[-1]
    state = F.rms_norm(x, (hidden,), norm, epsilon)
    heads = lambda weight: F.linear(state, weight).view(batch, tokens, -1, dim).transpose(1, 2)  # noqa: E731
    mixed = F.scaled_dot_product_attention(
        turned(heads(q), cos, sin), turned(heads(k), cos, sin), heads(v),
        is_causal=True, enable_gqa=True,
    )  # fmt: skip
    return x + F.linear(mixed.transpose(1, 2).reshape(batch, tokens, -1), out)


def mlp(x: Tensor, norm: Tensor, gate: Tensor, up: Tensor, down: Tensor, epsilon: float) -> Tensor:
    """x [batch, tokens, hidden] plus its gated MLP."""
    state = F.rms_norm(x, (x.shape[-1],), norm, epsilon)
    return x + F.linear(F.silu(F.linear(state, gate)) * F.linear(state, up), down)


Layers = Sequence[Mapping[str, Tensor]]


class Blocks:
    """The two sublayers, compiled once for all layers of all plans, or plain."""

    def __init__(self, compiled: bool) -> None:
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.attention = wrap(attention)
        self.mlp = wrap(mlp)

    def hidden(
        self, plan: Plan, layers: Layers, x: Tensor, angles: tuple[Tensor, Tensor], epsilon: float
    ) -> Tensor:
        """The residual stream [batch, tokens, hidden] after `plan`, before the output norm."""
        for slot in plan:
            weights = layers[slot.layer]
            if slot.attn:
                x = self.attention(x, *(weights[name] for name in ATTENTION), *angles, epsilon)
            if slot.mlp:
                x = self.mlp(x, *(weights[name] for name in MLP), epsilon)
        return x


def layers_of(checkpoint: Checkpoint, device: torch.device | str, dtype: torch.dtype) -> Layers:
    """The checkpoint's layers as the forward pass takes them."""
    return [
        {
            name: checkpoint.tensors[f"blk.{layer}.{name}.weight"].to(device, dtype)
            for name in (*ATTENTION, *MLP)
        }
        for layer in range(checkpoint.shape.layers)
    ]


@dataclass
class Model:
    """Weights that answer: layers, embedding (also the head) and output norm, in one dtype."""

    shape: Shape
    plan: Plan
    layers: Layers
    embedding: Tensor
    norm: Tensor
    blocks: Blocks

    def hidden(self, ids: Tensor) -> Tensor:
        """Normed final states [batch, tokens, hidden] of ids [batch, tokens]."""
        x = F.embedding(ids, self.embedding)
        angles = rope(self.shape, ids.shape[1], ids.device)
        x = self.blocks.hidden(self.plan, self.layers, x, angles, self.shape.epsilon)
        return F.rms_norm(x, (self.shape.hidden,), self.norm, self.shape.epsilon)

    def log_likelihoods(self, states: Tensor, targets: Tensor, chunk: int = 16384) -> Tensor:
        """log P(target) [n] for states [n, hidden], float32."""
        parts = []
        for at in range(0, len(targets), chunk):
            logits = F.linear(states[at : at + chunk], self.embedding).float()
            chosen = logits.gather(1, targets[at : at + chunk, None])[:, 0]
            parts.append(chosen - logits.logsumexp(-1))
        return torch.cat(parts)


def base_model(
    checkpoint: Checkpoint, device: torch.device | str, dtype: torch.dtype, plan: Plan | None = None,
    blocks: Blocks | None = None,
) -> Model:  # fmt: skip
    """The checkpoint itself, or a plan over its layers."""
    return Model(
        checkpoint.shape,
        plan or whole(checkpoint.shape.layers),
        layers_of(checkpoint, device, dtype),
        checkpoint.tensors["token_embd.weight"].to(device, dtype),
        checkpoint.tensors["output_norm.weight"].to(device, dtype),
        blocks or Blocks(compiled=False),
    )
