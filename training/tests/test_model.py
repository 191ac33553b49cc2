import json

import pytest
import torch

from franken_training.model import Slot, base_model, parse_plan

from .conftest import ROOT


@pytest.mark.parametrize("name", ["baseline", "attn-drop-10", "block-drop-4"])
def test_the_forward_pass_agrees_with_transformers(name, checkpoint) -> None:
    vectors = json.loads((ROOT / "test/fixtures/reference/logit-vectors.json").read_text())[name]
    slots = vectors.get("slots")
    plan = tuple(Slot(s["layer"], s.get("attn", True), s.get("mlp", True)) for s in slots) if slots else None
    model = base_model(checkpoint, "cpu", torch.float32, plan)
    for case in vectors["cases"]:
        ids = torch.tensor([case["prompt_ids"]])
        found = model.log_likelihoods(model.hidden(ids)[0, :-1], ids[0, 1:])
        assert torch.allclose(-found, torch.tensor(case["token_nll"]), atol=2e-3)


def test_plans_are_read_from_text() -> None:
    assert parse_plan("0-1,3m,5a") == (
        Slot(0), Slot(1), Slot(3, attn=False), Slot(5, mlp=False),
    )  # fmt: skip
    with pytest.raises(ValueError, match="'x' in plan"):
        parse_plan("0,x")
