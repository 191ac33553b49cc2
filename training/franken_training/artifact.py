"""Writes what a run made in the form that `franken import` takes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from .checkpoint import ATTENTION, LINEARS, MLP
from .model import Layers, Model
from .quantize import pack, rounded
from .student import Student, layers_with

Tensor = torch.Tensor
VERSION = "1"


def renumbered(student: Student) -> dict[int, int] | None:
    """The number of each source layer in the written file, 0 upwards; None: they keep the base's."""
    if student.frozen:
        return None
    return {s.layer: index for index, s in enumerate(student.source)}


def description(student: Student, id: str, base: str, titles: dict[str, str], provenance: dict) -> dict:
    """student.json."""
    numbers = renumbered(student)
    name = lambda layer: numbers[layer] if numbers else layer  # noqa: E731
    slots = lambda plan: [  # noqa: E731
        {"layer": name(s.layer), **({} if s.attn else {"attn": False}), **({} if s.mlp else {"mlp": False})}
        for s in plan
    ]
    return {
        "id": id,
        "base": base,
        **({"layers": "some"} if student.frozen and student.trained else {}),
        "plans": {n: {"title": titles[n], "slots": slots(p)} for n, p in student.plans.items()},
        "provenance": {**provenance, "version": VERSION},
    }


def layer_tensors(student: Student) -> dict[str, Tensor]:
    """Q4_1 blocks of the linears as uint8 [rows, bytes], norms as float32, by GGUF name."""
    numbers = renumbered(student)
    tensors = {"output_norm.weight": student.parameters["output_norm"].detach().float().cpu()}
    for name in (*ATTENTION, *MLP):
        for index, layer in enumerate(layers_with(student.trained, name)):
            weight = student.parameters[name][index].detach()
            key = f"blk.{numbers[layer] if numbers else layer}.{name}.weight"
            packed = torch.from_numpy(pack(weight)) if name in LINEARS else weight.float().cpu()
            tensors[key] = packed.contiguous()
    return tensors


def adapter_tensors(student: Student) -> dict[str, Tensor]:
    """PEFT's names and float16 factors; layer numbers are the base's."""
    rooms = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}  # fmt: skip
    tensors = {}
    for name in student.adapted_names():
        for index, layer in enumerate(layers_with(student.source, name)):
            for factor in ("a", "b"):
                key = f"base_model.model.model.layers.{layer}.{rooms[name]}.lora_{factor.upper()}.weight"
                value = student.parameters[f"{name}.{factor}"][index].detach()
                tensors[key] = value.half().cpu().contiguous()
    return tensors


def adapter_config(student: Student, base: str) -> dict:
    """adapter_config.json as PEFT reads it."""
    rank = student.parameters[f"{student.adapted_names()[0]}.a"].shape[1]
    return {
        "base_model_name_or_path": base,
        "bias": "none",
        "lora_alpha": int(student.scale * rank),
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "task_type": "CAUSAL_LM",
    }


def write_folder(folder: Path, files: dict[str, dict], tensors: dict[str, dict[str, Tensor]]) -> None:
    """Writes all files beside `folder`, then moves the folder into its place."""
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (part / name).write_text(json.dumps(value, indent=2) + "\n")
    for name, stored in tensors.items():
        if not all(t.dtype == torch.uint8 or torch.isfinite(t).all() for t in stored.values()):
            raise ValueError(f"{name}: a tensor is not finite; nothing was written")
        save_file(stored, part / name)
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(part, folder)


def write_student(folder: Path, student: Student, id: str, base: str, titles: dict[str, str],
                  provenance: dict) -> None:  # fmt: skip
    """A weight set of layers (full fine-tuning), or a PEFT adapter (LoRA)."""
    files = {"student.json": description(student, id, base, titles, provenance)}
    if student.adapted_names():
        files["adapter_config.json"] = adapter_config(student, base)
        write_folder(folder, files, {"adapter_model.safetensors": adapter_tensors(student)})
    else:
        write_folder(folder, files, {"student.safetensors": layer_tensors(student)})


@torch.no_grad()
def served_layers(student: Student, dtype: torch.dtype) -> tuple[Layers, Tensor]:
    """Layers and output norm with exactly the values that are written, for scores."""
    return student.layers(student.working(dtype, to_blocks=rounded))


@torch.no_grad()
def start_from(folder: Path, student: Student, checkpoint) -> dict:  # noqa: ANN001
    """Gives the student the values that a run left in `folder`; returns what provenance says of it.

    Raises ValueError where that run trained other sublayers.
    """
    told = json.loads((folder / "student.json").read_text())
    ours = description(student, "", "", dict.fromkeys(student.plans, ""), {})
    slots = lambda it: list(it["plans"].values())[0]["slots"]  # noqa: E731
    if told.get("layers") != ours.get("layers") or slots(told) != slots(ours):
        raise ValueError(f"{folder}: its first plan is another, so its layers do not fit this student")
    layers, norm = next(iter(read_student(folder, checkpoint, "cpu").values()))[1]
    numbers = renumbered(student)
    for name in (*ATTENTION, *MLP):
        for index, layer in enumerate(layers_with(student.trained, name)):
            student.parameters[name][index].copy_(layers[numbers[layer] if numbers else layer][name])
    student.parameters["output_norm"].copy_(norm)
    digest = hashlib.sha256((folder / "student.safetensors").read_bytes()).hexdigest()
    return {"start": digest, "startTokens": told["provenance"]["arguments"].get("tokens", 0)}


def read_student(folder: Path, checkpoint, device: str) -> dict:  # noqa: ANN001
    """Plans of a written folder with their fp32 layers and output norm, as `served_layers` gives.

    Raises ValueError where a tensor is missing, or the file is cut off.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from .model import Slot, layers_of
    from .quantize import unpack

    told = json.loads((folder / "student.json").read_text())
    plans = {
        name: tuple(Slot(s["layer"], s.get("attn", True), s.get("mlp", True)) for s in plan["slots"])
        for name, plan in told["plans"].items()
    }
    try:
        stored = load_file(folder / "student.safetensors")
    except SafetensorError as error:
        raise ValueError(f"{folder}: student.safetensors is not whole ({error})") from error
    norm = stored.pop("output_norm.weight", checkpoint.tensors["output_norm.weight"]).to(device)
    numbers = {int(key.split(".")[1]) for key in stored}
    count = 1 + max(s.layer for plan in plans.values() for s in plan)
    layers: list[dict[str, Tensor]] = [{} for _ in range(count)]
    if told.get("layers") == "some":
        own = layers_of(checkpoint, device, torch.float32)
        layers = [{} if n in numbers else dict(own[n]) for n in range(count)]
    for key, tensor in stored.items():
        _, layer, name, _ = key.split(".")
        value = unpack(tensor.numpy()) if name in LINEARS else tensor
        layers[int(layer)][name] = value.to(device)
    for name, plan in plans.items():
        for slot in plan:
            needed = (ATTENTION if slot.attn else ()) + (MLP if slot.mlp else ())
            missing = [n for n in needed if n not in layers[slot.layer]]
            if missing:
                raise ValueError(f"{folder}: plan {name} needs blk.{slot.layer}.{missing[0]}.weight")
    return {name: (plan, (layers, norm)) for name, plan in plans.items()}


def student_models(folder: Path, checkpoint, base: Model) -> list[Model]:  # noqa: ANN001
    """A written folder's plans as models that answer, in the base's dtype and on its device."""
    device, dtype = base.embedding.device, base.embedding.dtype
    models = []
    for plan, (layers, norm) in read_student(folder, checkpoint, str(device)).values():
        cast = [{name: tensor.to(dtype) for name, tensor in layer.items()} for layer in layers]
        models.append(replace(base, plan=plan, layers=cast, norm=norm.to(dtype)))
    return models
