"""The suite ``models``: the 5b network with random weights, as a sampler and a training run call it.

Legend: B latents, M text tokens, Y text width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from flagdit_core.benchmarks import DTYPE, attention_of, backend_of, give_random_weights
from flagdit_core.flow import flow_matching_loss, get_path
from flagdit_core.guidance import classifier_free_guidance
from flagdit_core.layout import Latents, Layout
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.training import TrainingConfig
from flagdit_core.training.compilation import prepared
from flagdit_core.training.optimizer import build_optimizers
from flagdit_kernels.bench import Case, Conditions, RedGateError, Trial, check_close

_SCALE = 4.0
_FACTOR = 5.0  # on the gate's tolerance: rounding adds up over the blocks
_PEERS = ("flagdit", "eager", "eager-cudnn")


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Network and latents; the sizes of pictures are in latent cells, an eighth of their pixels.

    Attributes:
        config: Of the network.
        text: Tokens of a caption.
        small: Side of the square latent that the gates compare on.
        picture: (H, W) of a picture of 1024x1024.
        long: (H, W) of 128 K tokens.
        longest: (H, W) of 512 K tokens.
    """

    config: FlagDiTConfig
    text: int
    small: int
    picture: tuple[int, int]
    long: tuple[int, int]
    longest: tuple[int, int]


def _sizes(*, quick: bool) -> _Sizes:
    if quick:
        config = replace(FlagDiTConfig.preset("nano"), depth=2)
        return _Sizes(config=config, text=3, small=4, picture=(4, 4), long=(4, 6), longest=(4, 8))
    config = FlagDiTConfig.preset("5b")
    # rows of 512 and of 1024 tokens, the one that closes the row included
    return _Sizes(config=config, text=256, small=32, picture=(128, 128), long=(512, 1022), longest=(1024, 2046))


def models(conditions: Conditions) -> Iterator[Case]:
    """The cases.

    Args:
        conditions: Device and sizes.

    Yields:
        Denoising steps, the longest forward, and a training step.
    """
    sizes, device = _sizes(quick=conditions.quick), conditions.device
    steps = (("1024x1024 guided", sizes.picture, True), ("128K tokens", sizes.long, False))
    for size, picture, guided in steps:
        yield Case(
            name="denoising step",
            settings={"size": size, "dtype": "bfloat16", "direction": "forward"},
            implementations=_PEERS,
            work={"tokens": (1 + guided) * _tokens(sizes.config, picture)},
            prepare=partial(_denoising, sizes, picture, device, guided=guided),
            once=not guided,
        )
    yield Case(
        name="forward",
        settings={"size": "512K tokens", "dtype": "bfloat16", "direction": "forward"},
        implementations=("flagdit",),
        work={"tokens": _tokens(sizes.config, sizes.longest)},
        prepare=partial(_denoising, sizes, sizes.longest, device, guided=False),
        once=True,
    )
    for weights in (torch.bfloat16, torch.float32):
        yield Case(
            name="training step",
            settings={
                "size": "128K tokens",
                "dtype": f"bfloat16, weights and AdamW in {str(weights).removeprefix('torch.')}",
                "direction": "forward+backward",
            },
            implementations=("flagdit", "eager"),
            work={"tokens": _tokens(sizes.config, sizes.long)},
            prepare=partial(_training, sizes, weights, device),
            once=True,
        )


def build_network(config: FlagDiTConfig, device: torch.device, dtype: torch.dtype) -> FlagDiT:
    """A network with random weights, made where it is used.

    Args:
        config: Its sizes.
        device: Where to.
        dtype: Of its weights.

    Returns:
        The network in evaluation mode.
    """
    with torch.device("meta"):
        network = FlagDiT(config).to(dtype)
    network = network.to_empty(device=device).eval()
    give_random_weights(network)
    return network


def _tokens(config: FlagDiTConfig, picture: tuple[int, int]) -> int:
    return Layout.of(config).sequence_length((config.in_channels, 1, *picture))


def _latent(sizes: _Sizes, picture: tuple[int, int], device: torch.device) -> Tensor:
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(1, sizes.config.in_channels, *picture, device=device, generator=generator)


def _captions(sizes: _Sizes, count: int, device: torch.device) -> Tensor:
    generator = torch.Generator(device).manual_seed(1)
    assert sizes.config.caption_size is not None
    return torch.randn(count, sizes.text, sizes.config.caption_size, device=device, generator=generator)


def _denoising(
    sizes: _Sizes, picture: tuple[int, int], device: torch.device, *, guided: bool
) -> Callable[[str], Trial]:
    """A network, and what makes the trials of a step on a picture."""
    network = build_network(sizes.config, device, DTYPE)
    captions = _captions(sizes, 2, device).to(DTYPE)  # with the prompt, and without

    @torch.no_grad()
    def step(name: str, latent: Tensor) -> Tensor:
        def velocity(latents: Latents, t: Tensor, caption: Tensor) -> Latents:
            return network(latents, t, caption, backend=backend_of(name))

        def both(latents: Latents, t: Tensor) -> tuple[Latents, Latents]:
            found = cast(Tensor, velocity(torch.cat([cast(Tensor, latents)] * 2), t, captions))
            return found[:1], found[1:]

        follow = classifier_free_guidance(
            both, lambda latents, t: velocity(latents, t, captions[:1]), scale=_SCALE if guided else 1.0
        )
        with attention_of(name):
            return cast(Tensor, follow(latent.to(DTYPE), torch.tensor(0.5, device=device)))

    def trial(name: str) -> Trial:
        small, latent = _latent(sizes, (sizes.small, sizes.small), device), _latent(sizes, picture, device)

        def gate() -> None:
            check_close(step(name, small), step("eager", small), DTYPE, f"velocity, {name}", factor=_FACTOR)

        def call() -> None:
            if not step(name, latent).isfinite().all():
                raise RedGateError(f"velocity of {_tokens(sizes.config, picture)} tokens, {name}: not finite")

        return Trial(call=call, gate=gate)

    return trial


def _training(sizes: _Sizes, weights: torch.dtype, device: torch.device) -> Callable[[str], Trial]:
    """A network with its optimizer, and what makes the trials of an update."""
    network = build_network(sizes.config, device, weights).train()
    config = TrainingConfig(num_steps=1, batch_size=1, learning_rate=1e-9, activation_checkpointing=True)
    (optimizer,) = build_optimizers(network.named_parameters(), config)
    caption, t_B = _captions(sizes, 1, device).to(weights), torch.full((1,), 0.5, device=device)

    def loss_of(name: str, x1: Tensor) -> Tensor:
        """The loss, whose gradients are added up in the weights; blocks are computed anew on the way back."""
        x0 = torch.randn(x1.shape, generator=torch.Generator(device).manual_seed(2), device=device)
        autocast = torch.autocast(device.type, dtype=DTYPE, enabled=weights != DTYPE)
        with attention_of(name), prepared(network, None, config):
            with autocast:
                loss = flow_matching_loss(
                    lambda x_t, t: network(cast(Tensor, x_t).to(weights), t, caption, backend=backend_of(name)),
                    x1,
                    x0,
                    t_B,
                    path=get_path("linear"),
                ).mean()
            torch.autograd.backward(loss)
        return loss.detach()

    def update(name: str, x1: Tensor) -> Tensor:
        loss = loss_of(name, x1)
        nn.utils.clip_grad_norm_(network.parameters(), config.max_grad_norm, foreach=True)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def trial(name: str) -> Trial:
        small, x1 = _latent(sizes, (sizes.small, sizes.small), device), _latent(sizes, sizes.long, device)

        def results(name: str) -> tuple[Tensor, Tensor]:
            """The loss, and the gradient of the first layer, to which all others have led."""
            loss, gradient = loss_of(name, small), network.token_embedder.weight.grad
            assert gradient is not None
            optimizer.zero_grad()
            return loss, gradient

        def gate() -> None:
            for what, found, expected in zip(("loss", "gradient"), results(name), results("eager"), strict=True):
                check_close(found, expected, DTYPE, f"{what}, {name}", factor=_FACTOR)
            update(name, small)  # makes the optimizer's state

        return Trial(call=lambda: update(name, x1), gate=gate)

    return trial
