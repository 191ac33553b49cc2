"""The real checkpoint of this repository, read once."""

from pathlib import Path

import pytest

from franken_training.checkpoint import Checkpoint, read_checkpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return read_checkpoint(ROOT / "models/smollm2-135m-instruct")
