"""What is trained: layers of a student, all or some, or a LoRA adapter over the base's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .checkpoint import ATTENTION, LINEARS, MLP, Checkpoint
from .model import Layers, Plan, Slot
from .quantize import straight_through

Tensor = torch.Tensor
Stacks = dict[str, Tensor]


def layers_with(plan: Plan, name: str) -> list[int]:
    """The plan's layers that have the tensor `name`, each once, ascending."""
    return sorted({s.layer for s in plan if (s.attn if name in ATTENTION else s.mlp)})


def stacked(checkpoint: Checkpoint, plan: Plan, device: torch.device | str) -> Stacks:
    """By tensor name, the plan's layers on top of each other [layers, …], float32."""
    return {
        name: torch.stack(
            [checkpoint.tensors[f"blk.{layer}.{name}.weight"] for layer in layers_with(plan, name)]
        ).to(device)
        for name in (*ATTENTION, *MLP)
        if layers_with(plan, name)
    }


def without(plan: Plan, trained: Plan) -> Plan:
    """The sublayers of `plan` that are not in `trained`."""
    ours = {s.layer: s for s in trained}
    rest = []
    for slot in plan:
        own = ours.get(slot.layer, Slot(slot.layer, attn=False, mlp=False))
        left = Slot(slot.layer, slot.attn and not own.attn, slot.mlp and not own.mlp)
        rest += [left] if left.attn or left.mlp else []
    return tuple(rest)


def unstacked(stacks: Mapping[str, Tensor], plan: Plan) -> list[dict[str, Tensor]]:
    """Layers as the forward pass takes them. Gradients go back to the stacks in one piece."""
    layers: list[dict[str, Tensor]] = [{} for _ in range(1 + max((s.layer for s in plan), default=-1))]
    for name, stack in stacks.items():
        for layer, tensor in zip(layers_with(plan, name), stack.unbind(0), strict=True):
            layers[layer][name] = tensor
    return layers


@dataclass
class Student:
    """Master weights in float32, and how working weights are made of them.

    `source` is the plan over the base's layers that the student began as; layers keep those
    numbers until they are written. `plans` are trained together, each on all batches. `trained` are
    the sublayers that `parameters` stack, `frozen` stacks the others; of an adapter `frozen` stacks
    all, and nothing of it is in `trained`.
    """

    source: Plan
    plans: dict[str, Plan]
    parameters: Stacks
    frozen: Stacks
    scale: float
    trained: Plan

    def working(self, dtype: torch.dtype, to_blocks=straight_through) -> Stacks:  # noqa: ANN001
        """Stacks as the engine will have them, in `dtype`, differentiable by the parameters.

        Those that stay as they are have `frozen.` before their names. `to_blocks` rounds linears.
        """
        frozen = {f"frozen.{name}": stack.to(dtype) for name, stack in self.frozen.items()}
        if self.adapted_names():
            return frozen | {f"frozen.{name}": self.adapted(name).to(dtype) for name in self.adapted_names()}
        return frozen | {
            name: (to_blocks(p) if name in LINEARS else p).to(dtype) for name, p in self.parameters.items()
        }

    def layers(self, working: Stacks) -> tuple[Layers, Tensor]:
        """The layers that `working` stacks, by the source's numbers, and the output norm."""
        stacks = dict(working)
        norm = stacks.pop("output_norm" if "output_norm" in stacks else "frozen.output_norm")
        frozen = {n.removeprefix("frozen."): s for n, s in stacks.items() if n.startswith("frozen.")}
        own = {n: s for n, s in stacks.items() if not n.startswith("frozen.")}
        count = 1 + max(slot.layer for slot in self.source)
        layers: list[dict[str, Tensor]] = [{} for _ in range(count)]
        for group, plan in ((frozen, without(self.source, self.trained)), (own, self.trained)):
            for layer, tensors in enumerate(unstacked(group, plan)):
                layers[layer].update(tensors)
        return layers, norm

    def adapted_names(self) -> list[str]:
        """Linears that have an adapter."""
        return [name for name in LINEARS if f"{name}.a" in self.parameters]

    def adapted(self, name: str) -> Tensor:
        """W + scale * B A, [layers, out, in]."""
        low_rank = self.parameters[f"{name}.b"] @ self.parameters[f"{name}.a"]
        return self.frozen[name] + self.scale * low_rank


def full_student(
    checkpoint: Checkpoint, source: Plan, plans: dict[str, Plan], device: torch.device | str,
    trained: Plan | None = None,
) -> Student:  # fmt: skip
    """Every tensor of the source's layers is trained, and the output norm; or of `trained` alone.

    Raises ValueError where a plan runs, or `trained` names, a sublayer that the source lacks.
    """
    check_plans(source, plans | ({"trained": trained} if trained else {}))
    trained = trained or source
    parameters = stacked(checkpoint, trained, device)
    parameters["output_norm"] = checkpoint.tensors["output_norm.weight"].to(device)
    for name, tensor in parameters.items():
        parameters[name] = tensor.clone().requires_grad_()
    frozen = stacked(checkpoint, without(source, trained), device)
    return Student(source, plans, parameters, frozen, 0.0, trained)


def lora_student(
    checkpoint: Checkpoint, source: Plan, name: str, rank: int, device: torch.device | str, seed: int
) -> Student:
    """A LoRA adapter (arXiv 2106.09685) with alpha 2 x rank on all linears of the plan."""
    frozen = stacked(checkpoint, source, device)
    frozen["output_norm"] = checkpoint.tensors["output_norm.weight"].to(device)
    parameters: Stacks = {}
    generator = torch.Generator().manual_seed(seed)
    for linear in LINEARS:
        if linear not in frozen:
            continue
        count, rows, columns = frozen[linear].shape
        a = torch.randn(count, rank, columns, generator=generator) / math.sqrt(columns)
        parameters[f"{linear}.a"] = a.to(device).requires_grad_()
        parameters[f"{linear}.b"] = torch.zeros(count, rows, rank, device=device).requires_grad_()
    return Student(source, {name: source}, parameters, frozen, 2.0, ())


def check_plans(source: Plan, plans: Mapping[str, Plan]) -> None:
    """Raises ValueError where a plan runs a sublayer that the student does not have."""
    for name, plan in plans.items():
        for slot in plan:
            own = [s for s in source if s.layer == slot.layer]
            if not own or (slot.attn and not own[0].attn) or (slot.mlp and not own[0].mlp):
                raise ValueError(f"plan {name}: layer {slot.layer} has a sublayer the source lacks")
