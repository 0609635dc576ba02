"""The optimizers, their parameter groups, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from flagdit_core.errors import ConfigError
from flagdit_core.training.config import TrainingConfig

_FUSED_DEVICES = ("cpu", "cuda", "xpu", "mps")


def build_optimizers(
    named_parameters: Iterable[tuple[str, nn.Parameter]], config: TrainingConfig
) -> tuple[torch.optim.Optimizer, ...]:
    """The optimizers of a run: AdamW (arXiv 1711.05101) alone, or Muon beside it for the matrices inside the blocks.

    AdamW has three groups: matrices, vectors, and the zero-initialised attention gates. Weights of two and more
    dimensions decay; norms, biases, learnt tokens and gates do not. The gates learn
    ``gate_learning_rate_multiplier`` times as fast, since they start at zero and hold the text back until they open.

    Args:
        named_parameters: Of everything to train; those that need no gradient are left out.
        config: Which optimizer, learning rates, betas, weight decay and multiplier.

    Returns:
        The optimizers; each group carries its ``base_lr``, for ``set_learning_rate``.

    Raises:
        ConfigError: There is nothing to train.
    """
    trainable = [(name, parameter) for name, parameter in named_parameters if parameter.requires_grad]
    if not trainable:
        raise ConfigError("expected parameters to train, got none that requires a gradient")
    matrices = [(n, p) for n, p in trainable if config.optimizer == "muon" and is_block_matrix(n, p)]
    chosen = {name for name, _ in matrices}
    others = [(name, parameter) for name, parameter in trainable if name not in chosen]
    adamw = _adamw(others, config)
    return (adamw, _muon([parameter for _, parameter in matrices], config)) if matrices else (adamw,)


def _adamw(trainable: list[tuple[str, nn.Parameter]], config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW over matrices, vectors and gates."""
    gates = [parameter for name, parameter in trainable if is_gate(name)]
    others = [parameter for name, parameter in trainable if not is_gate(name)]
    gate_lr = config.learning_rate * config.gate_learning_rate_multiplier
    groups = [
        (config.learning_rate, config.weight_decay, [parameter for parameter in others if parameter.ndim >= 2]),
        (config.learning_rate, 0.0, [parameter for parameter in others if parameter.ndim < 2]),
        (gate_lr, 0.0, gates),
    ]
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr, "base_lr": lr, "weight_decay": weight_decay}
            for lr, weight_decay, parameters in groups
            if parameters
        ],
        lr=config.learning_rate,
        betas=config.betas,
        fused=all(parameter.device.type in _FUSED_DEVICES for _, parameter in trainable),
    )


def _muon(matrices: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    """Muon (arXiv 2502.16982) with updates as large as AdamW's."""
    rate = config.muon_learning_rate
    return torch.optim.Muon(
        [{"params": matrices, "lr": rate, "base_lr": rate}],
        lr=rate,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )


def is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix of a block's attention or feed-forward layer, here or in a text encoder."""
    return parameter.ndim == 2 and bool({"blocks", "layers"} & set(name.split("."))) and "modulation" not in name


def is_gate(name: str) -> bool:
    """Whether a parameter is the gate of a text attention."""
    return name.rsplit(".", 1)[-1] == "gate"


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """The factor on every group's learning rate, in [0, 1].

    It rises linearly over ``warmup_steps`` and then falls from 1 along ``decay``, towards
    ``final_learning_rate_fraction`` at ``num_steps``.

    Args:
        step: Of the update about to be made, in [0, num_steps).
        config: The schedule.

    Returns:
        The factor; step 0 already learns.

    Example:
        >>> learning_rate_factor(4, TrainingConfig(num_steps=100, batch_size=1, warmup_steps=10))
        0.5
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    final = config.final_learning_rate_fraction
    progress = (step - config.warmup_steps) / max(1, config.num_steps - config.warmup_steps)
    match config.decay:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - (1.0 - final) * progress
        case "cosine":
            return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
        case unknown:
            raise ConfigError(f"decay must be 'constant', 'linear' or 'cosine', got {unknown!r}")


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its base learning rate times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
