"""Reads the base checkpoint: a GGUF of the LLaMA architecture, in one file or in parts."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch

LINEARS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
ATTENTION = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output")
MLP = ("ffn_norm", "ffn_gate", "ffn_up", "ffn_down")


@dataclass(frozen=True)
class Shape:
    """What the checkpoint's metadata says of its layers."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    rope_base: float
    epsilon: float


@dataclass(frozen=True)
class Checkpoint:
    """Dequantized tensors by GGUF name, float32, rows of q and k in Hugging Face's order."""

    shape: Shape
    tensors: dict[str, torch.Tensor]
    sha256: str


def source_file(path: Path) -> Path:
    """The checkpoint's one file. A folder of `…-part-N` files is joined into a temporary file."""
    if path.is_file():
        return path
    parts = sorted(path.glob("*.gguf-part-*"), key=lambda part: int(part.name.rsplit("-", 1)[1]))
    if not parts:
        raise FileNotFoundError(f"{path}: neither a GGUF file nor a folder with *.gguf-part-N files")
    joined = tempfile.NamedTemporaryFile(suffix=".gguf", delete=False)
    with joined:
        for part in parts:
            joined.write(part.read_bytes())
    return Path(joined.name)


def unpermute(rows: np.ndarray, heads: int) -> np.ndarray:
    """GGUF stores q and k for interleaved RoPE; this is Hugging Face's order of the same rows."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads all tensors. Raises ValueError for another architecture, or for a truncated file."""
    file = source_file(path)
    try:
        reader = gguf.GGUFReader(file)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: not a whole GGUF file ({error})") from error
    value = lambda key: reader.fields[key].contents()  # noqa: E731
    if value("general.architecture") != "llama":
        raise ValueError(f"{path}: architecture {value('general.architecture')}, not llama")
    heads = int(value("llama.attention.head_count"))
    hidden = int(value("llama.embedding_length"))
    shape = Shape(
        layers=int(value("llama.block_count")),
        hidden=hidden,
        heads=heads,
        kv_heads=int(value("llama.attention.head_count_kv")),
        head_dim=hidden // heads,
        ffn=int(value("llama.feed_forward_length")),
        vocabulary=int(value("llama.vocab_size")),
        rope_base=float(value("llama.rope.freq_base")),
        epsilon=round(float(value("llama.attention.layer_norm_rms_epsilon")), 9),
    )
    tensors = {}
    for tensor in reader.tensors:
        rows = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        for name, count in ((".attn_q.", heads), (".attn_k.", shape.kv_heads)):
            if name in tensor.name:
                rows = unpermute(rows, count)
        tensors[tensor.name] = torch.from_numpy(np.ascontiguousarray(rows))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Checkpoint(shape, tensors, digest)
