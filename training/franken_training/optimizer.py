"""Optimizers of stacked weights: AdamW for all, or Muon for matrices and AdamW for norms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

Tensor = torch.Tensor


def orthogonal(update: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices of a stack [n, rows, columns], by Newton-Schulz iterations.

    Coefficients of Keller Jordan's Muon (2024); `torch.optim.Muon` takes one matrix at a time,
    which is eight times as slow for 140 small ones.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized; its step has the root mean square of AdamW's (arXiv 2502.16982)."""

    def __init__(self, stacks: list[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(stacks, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:  # noqa: ANN001 - the base class's signature
        for group in self.param_groups:
            for stack in group["params"]:
                if stack.grad is None:
                    continue
                moment = self.state[stack].setdefault("moment", torch.zeros_like(stack))
                moment.lerp_(stack.grad, 1 - group["momentum"])
                ahead = stack.grad.lerp(moment, group["momentum"])
                size = 0.2 * math.sqrt(max(stack.shape[-2:]))
                stack.add_(orthogonal(ahead), alpha=-group["lr"] * size)


def optimizers(
    kind: str, parameters: Mapping[str, Tensor], lr: float
) -> list[torch.optim.Optimizer]:
    """`adamw`: one for all. `muon`: stacks of matrices by Muon, vectors by AdamW."""
    matrices = [p for p in parameters.values() if p.dim() == 3] if kind == "muon" else []
    rest = [p for p in parameters.values() if kind != "muon" or p.dim() != 3]
    adamw = torch.optim.AdamW(
        rest, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=rest[0].is_cuda
    )
    return [adamw, *([Muon(matrices, lr)] if matrices else [])]
