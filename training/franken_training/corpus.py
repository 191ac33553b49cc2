"""Training text as rows of token ids, and the mixture that batches are drawn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

# Never trained on: the answers on which agreement with the base is measured.
HELD_ROWS = 256


@dataclass(frozen=True)
class Corpus:
    """`rows` [n, tokens] of one kind of text, and the digest of the file."""

    name: str
    rows: np.ndarray
    sha256: str


def read_corpus(path: Path, tokens: int, held: bool = False) -> Corpus:
    """Reads `ids` of an .npz or .npy. One long row is cut into rows of `tokens`.

    `held` leaves out the first 256 rows. Raises ValueError for rows of another length.
    """
    stored = np.load(path)
    ids = stored["ids"] if path.suffix == ".npz" else stored
    if ids.ndim == 1:
        ids = ids[: len(ids) // tokens * tokens].reshape(-1, tokens)
    if ids.shape[1] < tokens:
        raise ValueError(f"{path}: rows of {ids.shape[1]} tokens, asked for {tokens}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Corpus(path.stem, ids[HELD_ROWS if held else 0 :, :tokens], digest)


class Mixture:
    """Draws batches with a fixed share of each group, every group in a seeded order of its own.

    The same seed and step give the same batch, so that a resumed run sees what it would have seen.
    """

    def __init__(self, groups: dict[str, list[Corpus]], shares: dict[str, float], seed: int) -> None:
        empty = [name for name, corpora in groups.items() if not sum(len(c.rows) for c in corpora)]
        if empty or not groups:
            raise ValueError(f"no training text in {', '.join(empty) or 'any group'}")
        total = sum(shares[name] for name in groups)
        self.groups = groups
        self.shares = {name: shares[name] / total for name in groups}
        self.rows = {n: np.concatenate([c.rows for c in cs]) for n, cs in groups.items()}
        self.seed = seed
        self._orders: dict[str, tuple[int, np.ndarray]] = {}

    def _order(self, name: str, epoch: int) -> np.ndarray:
        """The order of a group's rows in an epoch; the last one asked for is kept."""
        kept = self._orders.get(name)
        if kept is None or kept[0] != epoch:
            key = [self.seed, epoch, *name.encode()]
            order = np.random.default_rng(key).permutation(len(self.rows[name]))
            kept = self._orders[name] = (epoch, order)
        return kept[1]

    def counts(self, rows: int) -> dict[str, int]:
        """Rows of a batch by group, their sum `rows`."""
        counts = {name: int(share * rows) for name, share in self.shares.items()}
        for name in sorted(self.shares, key=self.shares.__getitem__, reverse=True):
            if sum(counts.values()) < rows:
                counts[name] += 1
        return counts

    def batch(self, step: int, rows: int) -> torch.Tensor:
        """ids [rows, tokens] of a step, int32."""
        parts = []
        for name, count in self.counts(rows).items():
            have = self.rows[name]
            at = np.arange(step * count, (step + 1) * count)
            for epoch in np.unique(at // len(have)):
                inside = at[at // len(have) == epoch] % len(have)
                parts.append(have[self._order(name, int(epoch))[inside]])
        return torch.from_numpy(np.concatenate(parts).astype(np.int32))

    def provenance(self) -> list[dict[str, object]]:
        """Each corpus with its group, rows and digest."""
        return [
            {"group": group, "name": c.name, "rows": len(c.rows), "sha256": c.sha256}
            for group, corpora in self.groups.items()
            for c in corpora
        ]
