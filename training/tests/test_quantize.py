import gguf
import numpy as np
import torch

from franken_training.quantize import pack, rounded, straight_through, unpack


def test_packed_blocks_read_back_as_the_rounded_weights() -> None:
    weights = torch.randn(6, 96, generator=torch.Generator().manual_seed(1))
    weights[2, 32:64] = 0.5
    assert torch.equal(unpack(pack(weights)), rounded(weights))


def test_ggml_reads_the_packed_blocks_as_the_same_values() -> None:
    weights = torch.randn(4, 64, generator=torch.Generator().manual_seed(2))
    read = gguf.dequantize(pack(weights), gguf.GGMLQuantizationType.Q4_1)
    assert np.array_equal(read, rounded(weights).numpy())


def test_the_gradient_of_rounding_is_the_identity() -> None:
    weights = torch.randn(2, 32, generator=torch.Generator().manual_seed(3)).requires_grad_()
    straight_through(weights).mul(3).sum().backward()
    assert torch.equal(weights.grad, torch.full_like(weights, 3))
