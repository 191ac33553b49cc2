import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from franken_training import artifact
from franken_training.corpus import Corpus, Mixture
from franken_training.distill import NotFinite, Schedule, Trainer, distill, teacher_of
from franken_training.model import base_model, parse_plan
from franken_training.sample import sample
from franken_training.student import full_student, lora_student

PLANS = {"two": parse_plan("0,29"), "one": parse_plan("0m,29")}


@pytest.fixture(scope="module")
def teacher(checkpoint):
    return teacher_of(checkpoint, "cpu", torch.float32, compiled=False)


@pytest.fixture
def mixture() -> Mixture:
    ids = np.random.default_rng(1).integers(17, 49152, (8, 24))
    return Mixture({"text": [Corpus("text", ids, "none")]}, {"text": 1}, seed=1)


def trainer(checkpoint, teacher, steps: int, rate: float = 1e-3) -> Trainer:
    student = full_student(checkpoint, PLANS["two"], PLANS, "cpu")
    return Trainer(student, teacher, Schedule(rate, rows=2, warmup=1, steps=steps), compiled=False)


class Interrupted(Mixture):
    """Stops the run before step 2, as a signal would."""

    def batch(self, step: int, rows: int) -> torch.Tensor:
        if step == 2:
            raise KeyboardInterrupt
        return super().batch(step, rows)


def test_a_resumed_run_ends_with_the_bits_of_one_that_was_not_stopped(
    checkpoint, teacher, mixture, tmp_path
) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = trainer(checkpoint, teacher, 4)
    distill(whole, mixture, tmp_path / "whole", resume=False)
    stopped = Interrupted(mixture.groups, {"text": 1}, seed=1)
    with pytest.raises(KeyboardInterrupt):
        distill(trainer(checkpoint, teacher, 4), stopped, tmp_path / "parts", True, save_every=0)
    resumed = trainer(checkpoint, teacher, 4)
    distill(resumed, mixture, tmp_path / "parts", resume=True)
    for name, parameter in whole.student.parameters.items():
        assert torch.equal(parameter, resumed.student.parameters[name]), name


def test_a_loss_that_is_not_finite_stops_and_changes_nothing(checkpoint, teacher, mixture) -> None:
    run = trainer(checkpoint, teacher, 4)
    with torch.no_grad():
        run.student.parameters["ffn_down"][0, 0, 0] = float("nan")
    before = run.student.parameters["attn_q"].detach().clone()
    with pytest.raises(NotFinite):
        run.step(mixture.batch(0, 2).long(), 1.0)
    assert torch.equal(before, run.student.parameters["attn_q"])


def test_a_state_of_another_student_is_refused(checkpoint, teacher, mixture, tmp_path) -> None:
    distill(trainer(checkpoint, teacher, 1), mixture, tmp_path, resume=False)
    other = full_student(checkpoint, PLANS["one"], {"one": PLANS["one"]}, "cpu")
    run = Trainer(other, teacher, Schedule(1e-3, 2, steps=1), compiled=False)
    with pytest.raises(ValueError, match="state of another student"):
        distill(run, mixture, tmp_path, resume=True)


def test_training_brings_the_student_closer_to_the_base(checkpoint, teacher, mixture, tmp_path) -> None:
    run = trainer(checkpoint, teacher, 8)
    ids = mixture.batch(0, 2).long()
    first = run.step(ids, 1.0)
    for _ in range(6):
        last = run.step(ids, 1.0)
    assert (last < first).all()


def test_written_layers_read_back_as_they_were_trained(checkpoint, tmp_path) -> None:
    student = full_student(checkpoint, PLANS["two"], PLANS, "cpu")
    titles = {name: name for name in PLANS}
    artifact.write_student(tmp_path / "s", student, "s", "base", titles, {"method": "distill"})
    layers, norm = artifact.served_layers(student, torch.float32)
    plan, (read, read_norm) = artifact.read_student(tmp_path / "s", checkpoint, "cpu")["two"]
    assert [slot.layer for slot in plan] == [0, 1]
    assert torch.equal(norm, read_norm)
    for ours, theirs in ((layers[0], read[0]), (layers[29], read[1])):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_cut_off_file_is_named(checkpoint, tmp_path) -> None:
    student = full_student(checkpoint, PLANS["two"], PLANS, "cpu")
    titles = {name: name for name in PLANS}
    artifact.write_student(tmp_path / "s", student, "s", "base", titles, {"method": "distill"})
    file = tmp_path / "s/student.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="student.safetensors is not whole"):
        artifact.read_student(tmp_path / "s", checkpoint, "cpu")


def test_a_new_adapter_is_the_plan_itself(checkpoint, teacher) -> None:
    student = lora_student(checkpoint, PLANS["two"], "two", 4, "cpu", seed=1)
    layers, _ = artifact.served_layers(student, torch.float32)
    assert torch.equal(layers[29]["attn_q"], teacher.layers[29]["attn_q"])


def test_some_sublayers_are_trained_and_written_and_the_others_are_the_base(
    checkpoint, teacher, mixture, tmp_path
) -> None:
    plan = parse_plan("0,1m,29")
    student = full_student(checkpoint, plan, {"some": plan}, "cpu", parse_plan("1m"))
    run = Trainer(student, teacher, Schedule(1e-3, rows=2, warmup=1, steps=2), compiled=False)
    before, _ = artifact.served_layers(student, torch.float32)
    ids = mixture.batch(0, 2).long()
    first = run.step(ids, 1.0)
    assert (run.step(ids, 1.0) < first).all()
    layers, _ = artifact.served_layers(student, torch.float32)
    assert not torch.equal(layers[1]["ffn_up"], before[1]["ffn_up"])
    assert torch.equal(layers[29]["attn_q"], teacher.layers[29]["attn_q"])
    artifact.write_student(tmp_path / "s", student, "s", "base", {"some": "s"}, {"method": "distill"})
    stored = load_file(tmp_path / "s/student.safetensors")
    kept = {"output_norm", "blk.1.ffn_norm", "blk.1.ffn_gate", "blk.1.ffn_up", "blk.1.ffn_down"}
    assert set(stored) == {f"{name}.weight" for name in kept}
    read_plan, (read, norm) = artifact.read_student(tmp_path / "s", checkpoint, "cpu")["some"]
    assert read_plan == plan
    assert torch.equal(norm, student.parameters["output_norm"])
    for layer in (0, 1, 29):
        assert all(torch.equal(layers[layer][name], read[layer][name]) for name in layers[layer])
    with pytest.raises(ValueError, match="layer 1 has a sublayer the source lacks"):
        full_student(checkpoint, plan, {"some": plan}, "cpu", parse_plan("1a"))


def test_a_student_starts_from_what_a_run_left(checkpoint, teacher, mixture, tmp_path) -> None:
    run = trainer(checkpoint, teacher, 2)
    run.step(mixture.batch(0, 2).long(), 1.0)
    titles, provenance = {name: name for name in PLANS}, {"arguments": {"tokens": 48}}
    artifact.write_student(tmp_path / "s", run.student, "s", "base", titles, provenance)
    next_one = full_student(checkpoint, PLANS["two"], PLANS, "cpu")
    assert artifact.start_from(tmp_path / "s", next_one, checkpoint)["startTokens"] == 48
    ours, theirs = (artifact.served_layers(s, torch.float32)[0] for s in (run.student, next_one))
    for layer in (0, 29):
        assert all(torch.equal(ours[layer][name], theirs[layer][name]) for name in ours[layer])
    other = full_student(checkpoint, PLANS["one"], {"one": PLANS["one"]}, "cpu")
    with pytest.raises(ValueError, match="its first plan is another"):
        artifact.start_from(tmp_path / "s", other, checkpoint)


def test_a_student_writes_what_its_forward_pass_finds_likeliest(checkpoint, teacher, tmp_path) -> None:
    student = full_student(checkpoint, PLANS["two"], PLANS, "cpu")
    artifact.write_student(tmp_path / "student", student, "x", "base", dict.fromkeys(PLANS, ""), {})
    base = base_model(checkpoint, "cpu", torch.float32)
    models = artifact.student_models(tmp_path / "student", checkpoint, base)
    assert [len(model.plan) for model in models] == [len(plan) for plan in PLANS.values()]
    for model in models:
        generator = torch.Generator().manual_seed(1)
        ids = sample(model, [[1, 2], [9]], torch.full((2,), 1e-6), 6, generator)
        logits = model.hidden(ids) @ model.embedding.T
        assert torch.equal(logits[0].argmax(-1)[1:-1], ids[0, 2:])
        assert torch.equal(logits[1].argmax(-1)[1:-1], ids[1, 2:])
