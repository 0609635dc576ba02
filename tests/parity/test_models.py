"""The network against outputs of the authors' code (made from tiny random models; see docs/parity.md)."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from flagdit_core.guidance import classifier_free_guidance
from flagdit_core.interop.lumina_t2x import load_model

DATA = Path(__file__).parent.parent / "data" / "parity"
TOLERANCE = 2e-5
GOLDENS = sorted(path.stem for path in DATA.glob("flagdit_*.json"))
CALLS = [(name, call["label"]) for name in GOLDENS for call in json.loads((DATA / f"{name}.json").read_text())["calls"]]


def tensors_under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor | list[Tensor]]:
    """The tensors whose names start so; numbered ones as a list."""
    found: dict[str, Tensor | list[Tensor]] = {}
    for name in sorted(name for name in tensors if name.startswith(prefix)):
        key, _, number = name.removeprefix(prefix).partition(".")
        if number:
            found.setdefault(key, []).append(tensors[name])
        else:
            found[key] = tensors[name]
    return found


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def guided(model, inputs: dict, options: dict) -> dict[str, Tensor]:
    """The authors' ``forward_with_cfg``: first half of the batch with and without text, three channels guided."""
    half = inputs["x"][: len(inputs["x"]) // 2]
    names = {"caption": "cap_feats", "caption_mask": "cap_mask", "labels": "y"}
    conditioned, unconditioned = [
        {ours: inputs[theirs].chunk(2)[i] for ours, theirs in names.items() if theirs in inputs} for i in (0, 1)
    ]
    call = {
        "ntk_factor": options.get("ntk_factor", 1.0),
        "rope_scaling_factor": options.get("rope_scaling_factor", 1.0),
        "base_sequence_length": options["base_seqlen"] if options.get("proportional_attn") else None,
    }
    t = inputs["t"][: len(half)]
    v_c, v_u = model(half, t, **conditioned, **call), model(half, t, **unconditioned, **call)
    velocity = classifier_free_guidance(
        lambda x, t: (v_c, v_u), lambda x, t: v_c, scale=options["cfg_scale"], channels=3
    )(half, t[0])
    # Their second half holds the same guided channels, and the unconditional rest.
    second = torch.cat([velocity[:, :3], v_u[:, 3:]], dim=1)
    return {"y": torch.cat([velocity, second]), "cond_uncond": torch.cat([v_c, v_u])}


def euler_states(model, inputs: dict, options: dict) -> dict[str, Tensor]:
    """The authors' audio sampler: Euler on integer timesteps, guidance on all channels, all states kept."""
    times, x = torch.linspace(0, 1, options["num_points"]), inputs["x0"]
    states = [x]
    for t, t_next in pairwise(times):
        velocity = model(x, t, inputs["cond"])
        if options["cfg_scale"] is not None:
            unconditional = model(x, t, inputs["uncond"])
            velocity = unconditional + options["cfg_scale"] * (velocity - unconditional)
        x = x + velocity * (t_next - t)
        states.append(x)
    return {"y": torch.stack(states)}


@pytest.mark.parametrize(("name", "label"), CALLS)
@torch.no_grad()
def test_golden(name: str, label: str) -> None:
    """Outputs equal the authors' to float32 rounding, for each kind of call on each family."""
    meta, tensors = json.loads((DATA / f"{name}.json").read_text()), load_file(DATA / f"{name}.safetensors")
    call = next(call for call in meta["calls"] if call["label"] == label)
    model = load_model(tensors_under_weights(tensors), family=meta["family"], config=meta["ctor"])
    source = call["inputs_from"]
    inputs = (tensors_under(tensors, f"in.{source}.") if source else {}) | tensors_under(tensors, f"in.{label}.")
    if call["method"] == "forward_with_cfg":
        ours = guided(model, inputs, call["kwargs"])
    elif call["method"] == "cfm_euler":
        ours = euler_states(model, inputs, call["kwargs"])
    elif "y" in inputs:
        ours = {"y": model(inputs["x"], inputs["t"], labels=inputs["y"])}
    else:
        caption = inputs.get("cap_feats", inputs.get("context"))
        ours = {"y": model(inputs["x"], inputs["t"], caption, inputs.get("cap_mask"))}
    for key, theirs in tensors_under(tensors, f"out.{label}.").items():
        if key in ours:
            pairs = zip(ours[key], theirs, strict=True) if isinstance(theirs, list) else [(ours[key], theirs)]
            for ours_item, theirs_item in pairs:
                assert relative_error(ours_item, theirs_item) < TOLERANCE


def tensors_under_weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' state dict of a golden file."""
    return {name.removeprefix("weights."): tensor for name, tensor in tensors.items() if name.startswith("weights.")}
