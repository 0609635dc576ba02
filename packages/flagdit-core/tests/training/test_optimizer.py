"""Parameter groups and the learning-rate schedule."""

import dataclasses

import pytest
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.training import TrainingConfig
from flagdit_core.training.optimizer import build_optimizers, learning_rate_factor, set_learning_rate

CONFIG = TrainingConfig(num_steps=110, batch_size=1, learning_rate=0.1, warmup_steps=10)


@pytest.mark.parametrize(
    ("decay", "at_30", "at_60"),
    [("constant", 1.0, 1.0), ("linear", 0.84, 0.6), ("cosine", 0.9236067977, 0.6)],
)
def test_schedule_values(decay: str, at_30: float, at_60: float) -> None:
    """Warm-up rises linearly and ends at one; the decay passes through hand-computed values (20 % and 50 % of it)."""
    config = dataclasses.replace(CONFIG, decay=decay, final_learning_rate_fraction=0.2)
    assert learning_rate_factor(0, config) == pytest.approx(0.1)
    assert learning_rate_factor(9, config) == pytest.approx(1.0)
    assert learning_rate_factor(10, config) == pytest.approx(1.0)
    assert learning_rate_factor(30, config) == pytest.approx(at_30)
    assert learning_rate_factor(60, config) == pytest.approx(at_60)


def test_groups_of_the_network(make_model, make_text_encoder) -> None:
    """Every parameter is in exactly one group: gates learn faster, only matrices decay."""
    networks = torch.nn.ModuleDict({"model": make_model(), "text_encoder": make_text_encoder()})
    config = dataclasses.replace(CONFIG, weight_decay=0.3, gate_learning_rate_multiplier=10.0)
    (optimizer,) = build_optimizers(networks.named_parameters(), config)
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    assert len(group_of) == sum(len(group["params"]) for group in optimizer.param_groups)
    set_learning_rate(optimizer, 0.5)
    gates = 0
    for name, parameter in networks.named_parameters():
        group = group_of[id(parameter)]
        is_gate = name.endswith(".gate")
        gates += is_gate
        assert group["lr"] == pytest.approx(0.5 if is_gate else 0.05), name
        assert group["weight_decay"] == (0.3 if parameter.ndim >= 2 and not is_gate else 0.0), name
    assert gates == 2


def test_muon_takes_the_matrices_inside_blocks(make_model, make_text_encoder) -> None:
    """Muon has the attention and feed-forward matrices at its own rate, AdamW the rest, and nothing is in both."""
    networks = torch.nn.ModuleDict({"model": make_model(), "text_encoder": make_text_encoder()})
    config = dataclasses.replace(CONFIG, optimizer="muon", muon_learning_rate=0.3)
    adamw, muon = build_optimizers(networks.named_parameters(), config)
    names = {id(parameter): name for name, parameter in networks.named_parameters()}
    held = [[names[id(p)] for group in optimizer.param_groups for p in group["params"]] for optimizer in (adamw, muon)]
    assert sorted(held[0] + held[1]) == sorted(names.values())
    assert "model.blocks.0.attention.qkv.weight" in held[1]
    assert any(name.startswith("text_encoder.") for name in held[1])
    assert not any(word in name for name in held[1] for word in ("modulation", "norm", "gate.", "embed", "final_layer"))
    assert {group["base_lr"] for group in muon.param_groups} == {0.3}


def test_frozen_parameters_are_left_out(make_model) -> None:
    """A frozen parameter is in no group, and a network without any other cannot be trained."""
    model = make_model()
    model.blocks[0].requires_grad_(False)
    (optimizer,) = build_optimizers(model.named_parameters(), CONFIG)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert not held & {id(parameter) for parameter in model.blocks[0].parameters()}
    with pytest.raises(ConfigError, match="parameters to train"):
        build_optimizers(model.requires_grad_(False).named_parameters(), CONFIG)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_steps", 0),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("caption_dropout", 1.5),
        ("ema_decay", 1.0),
        ("decay", "exponential"),
        ("precision", "float16"),
        ("path", "bezier"),
        ("weighting", "heavy"),
        ("seed", -1),
    ],
)
def test_bad_settings_are_refused(field: str, value: object) -> None:
    """Each bad setting raises an error that shows it."""
    with pytest.raises(ConfigError, match=str(value)):
        dataclasses.replace(CONFIG, **{field: value})
