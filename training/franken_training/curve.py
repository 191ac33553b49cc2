"""The loss curve of one or several runs, as a picture."""

from __future__ import annotations

import json
from pathlib import Path


def draw(runs: dict[str, Path], out: Path) -> None:
    """Forward KL of each plan against tokens, log-log; `runs` maps labels to progress.json files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for label, file in runs.items():
        losses = json.loads(file.read_text())["losses"]
        for plan in range(len(losses[0][1]) if losses else 0):
            xs = [tokens / 1e6 for tokens, _ in losses]
            axes.plot(xs, [values[plan] for _, values in losses], label=f"{label}, plan {plan + 1}", lw=1)
    axes.set(xscale="log", yscale="log", xlabel="million tokens", ylabel="KL(base || student), nats a token")
    axes.grid(alpha=0.3, which="both")
    if axes.lines:
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out)
    plt.close(figure)
