"""The training loop: forward KL to the base on every token, for all plans of a student at once."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F

from .corpus import Mixture
from .loss import Distance
from .model import Blocks, Model, base_model, rope
from .optimizer import optimizers
from .student import Student

Tensor = torch.Tensor


@dataclass(frozen=True)
class Schedule:
    """When to stop, and the learning rate until then: warm-up, then a cosine to 2 % of `rate`.

    `steps` gives the same bytes each time; `seconds` (of training, compiling left out) fills a
    lease of unknown speed.
    """

    rate: float
    rows: int
    warmup: int = 100
    steps: int | None = None
    seconds: float | None = None
    optimizer: str = "adamw"
    clip: float = 1.0

    def done(self, step: int, elapsed: float) -> float:
        """The share of the run that is over, 0 to 1 and beyond."""
        return step / self.steps if self.steps is not None else elapsed / (self.seconds or math.inf)

    def factor(self, step: int, elapsed: float) -> float:
        """What the rate is multiplied by."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.done(step, elapsed))))
        return min(1.0, (step + 1) / self.warmup) * (0.02 + 0.98 * cosine)


@dataclass
class Progress:
    """What a run has done so far; kept beside the weights."""

    step: int = 0
    elapsed: float = 0.0
    tokens: int = 0
    losses: list[tuple[int, list[float]]] = field(default_factory=list)


class NotFinite(RuntimeError):
    """The loss or a gradient became NaN or infinite; the last good state is on disk."""


def save_state(path: Path, student: Student, opts: Iterable[torch.optim.Optimizer], progress: Progress) -> None:
    """Replaces `path` in one step, so that an interrupted write leaves the state before it."""
    state = {
        "parameters": {name: p.detach() for name, p in student.parameters.items()},
        "optimizers": [opt.state_dict() for opt in opts],
        "progress": asdict(progress),
    }
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def load_state(path: Path, student: Student, opts: list[torch.optim.Optimizer]) -> Progress:
    """Continues where `save_state` was. Raises ValueError for a state of another student."""
    device = next(iter(student.parameters.values())).device
    state = torch.load(path, map_location=device, weights_only=True)
    shapes = {name: tuple(p.shape) for name, p in student.parameters.items()}
    kept = {name: tuple(p.shape) for name, p in state["parameters"].items()}
    if shapes != kept:
        differing = sorted(set(shapes.items()) ^ set(kept.items()))
        raise ValueError(f"{path}: state of another student; first difference {differing[0]}")
    with torch.no_grad():
        for name, p in student.parameters.items():
            p.copy_(state["parameters"][name])
    for opt, kept_state in zip(opts, state["optimizers"], strict=True):
        opt.load_state_dict(kept_state)
    return Progress(**state["progress"])


class Trainer:
    """One student under one teacher. `compiled` on a GPU; plain on a CPU, for tests."""

    def __init__(self, student: Student, teacher: Model, schedule: Schedule, compiled: bool) -> None:
        self.student = student
        self.teacher = teacher
        self.schedule = schedule
        self.blocks = teacher.blocks
        self.distance = Distance(teacher.embedding, compiled)
        self.working = torch.compile(student.working, dynamic=False) if compiled else student.working
        self.optimizers = optimizers(schedule.optimizer, student.parameters, schedule.rate)

    def states(self, leaves: dict[str, Tensor], ids: Tensor) -> list[Tensor]:
        """Each plan's normed final states [tokens, hidden]."""
        shape = self.teacher.shape
        angles = rope(shape, ids.shape[1], ids.device)
        layers, norm = self.student.layers(leaves)
        x = F.embedding(ids, self.teacher.embedding)
        finals = (
            self.blocks.hidden(plan, layers, x, angles, shape.epsilon)
            for plan in self.student.plans.values()
        )
        return [
            F.rms_norm(h, (shape.hidden,), norm, shape.epsilon).flatten(0, 1)
            for h in finals
        ]

    def step(self, ids: Tensor, factor: float) -> Tensor:
        """One update. Returns losses [plans]; raises NotFinite before anything is changed."""
        with torch.no_grad():
            taught = self.teacher.hidden(ids).flatten(0, 1)
        working = self.working(self.teacher.embedding.dtype)
        leaves = {name: w.detach().requires_grad_(w.requires_grad) for name, w in working.items()}
        students = self.states(leaves, ids)
        losses, gradients = self.distance([s.detach() for s in students], taught)
        torch.autograd.backward(students, gradients)
        trained = [n for n, w in working.items() if w.requires_grad and leaves[n].grad is not None]
        torch.autograd.backward([working[n] for n in trained], [leaves[n].grad for n in trained])
        parameters = list(self.student.parameters.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.schedule.clip * len(students))
        if not torch.isfinite(losses.sum() + norm):
            raise NotFinite(f"loss {losses.tolist()}, norm of the gradient {norm.item()}")
        for opt in self.optimizers:
            for group in opt.param_groups:
                group["lr"] = self.schedule.rate * factor
            opt.step()
            opt.zero_grad(set_to_none=True)
        return losses


def distill(
    trainer: Trainer, mixture: Mixture, out: Path, resume: bool, save_every: float = 120.0,
    log_every: int = 20,
) -> Progress:  # fmt: skip
    """Trains until the schedule is over; `out` gets state.pt and progress.json as it goes."""
    state = out / "state.pt"
    schedule = trainer.schedule
    device = trainer.teacher.embedding.device
    progress = Progress()
    if resume and state.exists():
        progress = load_state(state, trainer.student, trainer.optimizers)
        print(f"resumed at step {progress.step}, {progress.tokens / 1e6:.1f}M tokens", flush=True)
    first, saved = progress.step, time.monotonic()
    begun = time.monotonic() - progress.elapsed
    while schedule.done(progress.step, progress.elapsed) < 1:
        ids = mixture.batch(progress.step, schedule.rows).to(device, non_blocking=True).long()
        losses = trainer.step(ids, schedule.factor(progress.step, progress.elapsed))
        progress.step += 1
        progress.tokens += ids.numel()
        if progress.step - first <= 3:  # compiling is not training
            begun = time.monotonic() - progress.elapsed
            losses.tolist()
            continue
        progress.elapsed = time.monotonic() - begun
        if progress.step % log_every == 0:
            report(progress, losses, trainer)
        if time.monotonic() - saved > save_every:
            save_state(state, trainer.student, trainer.optimizers, progress)
            saved = time.monotonic()
    save_state(state, trainer.student, trainer.optimizers, progress)
    (out / "progress.json").write_text(json.dumps(asdict(progress)))
    return progress


def report(progress: Progress, losses: Tensor, trainer: Trainer) -> None:
    """One line of progress, and a point of the loss curve."""
    values = [round(v, 4) for v in losses.tolist()]
    progress.losses.append((progress.tokens, values))
    rate = progress.tokens / max(progress.elapsed, 1e-9)
    plans = ", ".join(f"{n} {v:.3f}" for n, v in zip(trainer.student.plans, values, strict=True))
    print(
        f"step {progress.step}  {progress.tokens / 1e6:.1f}M tokens  {progress.elapsed:.0f} s  "
        f"{rate / 1e3:.0f}k tokens/s  KL: {plans}",
        flush=True,
    )


def teacher_of(checkpoint, device, dtype, compiled: bool) -> Model:  # noqa: ANN001
    """The base as teacher, with the blocks that its students share."""
    return base_model(checkpoint, device, dtype, blocks=Blocks(compiled))
