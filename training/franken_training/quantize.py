"""Q4_1 as GGUF stores it: blocks of 32 weights, a half-precision scale and minimum for each.

A block is 20 bytes: scale, minimum, then 16 bytes of codes, whose low nibbles are weights 0 to 15
and whose high nibbles are weights 16 to 31. Reference: ggml's `block_q4_1`.
"""

from __future__ import annotations

import numpy as np
import torch

BLOCK = 32
LEVELS = 15


def grid(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and minimum of each block [..., 32], rounded to half precision, as float32 [..., 1]."""
    low = blocks.amin(-1, keepdim=True)
    scale = ((blocks.amax(-1, keepdim=True) - low) / LEVELS).half().float()
    return scale, low.half().float()


def codes(blocks: torch.Tensor, scale: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """The nearest code, 0 to 15, of each weight; 0 where a block has one value only."""
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return ((blocks - low) / safe).round().clamp(0, LEVELS) * (scale > 0)


def rounded(weights: torch.Tensor) -> torch.Tensor:
    """`weights` [rows, columns] with each value moved to its Q4_1 grid. Columns divide by 32."""
    blocks = weights.reshape(-1, BLOCK)
    scale, low = grid(blocks)
    return (codes(blocks, scale, low) * scale + low).reshape(weights.shape)


def straight_through(weights: torch.Tensor) -> torch.Tensor:
    """`rounded`, whose gradient is that of the identity (Bengio et al., arXiv 1308.3432)."""
    return weights + (rounded(weights) - weights).detach()


def pack(weights: torch.Tensor) -> np.ndarray:
    """GGUF's bytes of `weights` [rows, columns]: uint8 [rows, columns / 32 * 20]."""
    rows, columns = weights.shape
    blocks = weights.float().cpu().reshape(-1, BLOCK)
    scale, low = grid(blocks)
    code = codes(blocks, scale, low).to(torch.uint8).numpy()
    packed = np.empty((len(code), 20), np.uint8)
    packed[:, 0:2] = scale.half().numpy().view(np.uint8)
    packed[:, 2:4] = low.half().numpy().view(np.uint8)
    packed[:, 4:] = code[:, :16] | (code[:, 16:] << 4)
    return packed.reshape(rows, columns // BLOCK * 20)


def unpack(packed: np.ndarray) -> torch.Tensor:
    """float32 [rows, columns] of what `pack` wrote."""
    rows = packed.shape[0]
    blocks = packed.reshape(-1, 20)
    scale = torch.from_numpy(blocks[:, 0:2].copy().view(np.float16).astype(np.float32))
    low = torch.from_numpy(blocks[:, 2:4].copy().view(np.float16).astype(np.float32))
    code = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], 1).astype(np.float32)
    return (torch.from_numpy(code) * scale + low).reshape(rows, -1)
