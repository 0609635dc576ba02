"""What a network has learnt: its held-out velocity loss, and how many held-out captions it draws rightly.

Shape suffixes: B pictures, C channels, H and W cells of the latent.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from flagdit_core import FlagDiT
from flagdit_core.evaluation import Evaluation, evaluate
from flagdit_core.flow import data_from, flow_matching_loss, get_path, linear_times, noise_from
from flagdit_core.guidance import classifier_free_guidance
from flagdit_core.layout import Latents
from flagdit_core.noise import latent_noise
from flagdit_core.pixels import to_pictures
from flagdit_core.shapes import Picture
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import TrainingConfig
from flagdit_core.world import Prompt, Verdict
from lumina_image.world import CATEGORIES, verify
from studies.ablations.pictures import HeldOut, codec, held_out_prompts

Predict = Callable[[Tensor, Tensor], Latents]
"""(state, time) -> what the network predicts, a tensor too."""


class OneObjectWorld:
    """The picture world with captions of one object; a ``flagdit_core.world.World``."""

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """``count`` held-out prompts, the same for every seed."""
        return [Prompt(text=text, category=CATEGORIES[0]) for text in held_out_prompts(count)]

    def verify(self, artifact: Picture, prompt: str) -> Verdict:
        """Compare a picture with what a prompt asserts."""
        return verify(artifact, prompt)


def follow(predict: Predict, x: Tensor, times: Tensor, config: TrainingConfig) -> Tensor:
    """Follow the flow's ODE: noise and data are read off a prediction, and mixed anew at the next time.

    On the linear path this is Euler's step, and on a variance-preserving path that of DDIM (arXiv 2010.02502), which
    needs no small steps where Euler's does.

    Args:
        predict: What the network predicts, guided.
        x: State at the first time.
        times: (num_steps + 1,), rising; the last may be 1 on any path.
        config: Path and prediction that the network was trained with.

    Returns:
        State at the last time.
    """
    path, prediction = get_path(config.path), config.prediction
    for now, then in pairwise(times):
        output = predict(x, now)
        data = cast(Tensor, data_from(prediction, output, x, now, path))
        noise = cast(Tensor, noise_from(prediction, output, x, now, path))
        alpha, _, sigma, _ = path.coefficients(then)
        x = alpha * data + sigma * noise
    return x


@torch.no_grad()
def sample(
    model: FlagDiT,
    encoder: TextEncoder,
    prompts: Sequence[str],
    seeds: Sequence[int],
    config: TrainingConfig,
    *,
    shape: tuple[int, int, int],
    num_steps: int,
    guidance_scale: float,
) -> Tensor:
    """Latents of prompts, by the pipeline's parts.

    Args:
        model: The network, in evaluation mode.
        encoder: Likewise.
        prompts: B texts.
        seeds: One each.
        config: Path and prediction that the network was trained with.
        shape: (C, H, W) of a latent.
        num_steps: Evaluations of the network.
        guidance_scale: 1 is no guidance.

    Returns:
        (B, C, H, W) float32.
    """
    count = len(prompts)
    text = encoder([*prompts, *[encoder.config.null_prompt] * count])
    read = model.read_caption(text.features, text.mask)

    def both(x: Latents, t: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(x, Tensor)
        conditional, unconditional = model(torch.cat([x, x]), t, read).chunk(2)
        return conditional, unconditional

    guided = classifier_free_guidance(both, lambda x, t: model(x, t, read.first(count)), scale=guidance_scale)
    x = torch.stack([latent_noise(shape, seed=seed, index=0) for seed in seeds])
    return follow(guided, x, linear_times(num_steps), config)


def pass_rates(
    model: FlagDiT,
    encoder: TextEncoder,
    config: TrainingConfig,
    *,
    shape: tuple[int, int, int],
    count: int,
    num_steps: int,
    guidance_scale: float,
) -> Evaluation:
    """The verifier's counts over held-out captions of one object.

    Args:
        model: The network, in evaluation mode.
        encoder: Likewise.
        config: Path and prediction that the network was trained with.
        shape: (C, H, W) of a latent.
        count: Captions.
        num_steps: Evaluations of the network for each.
        guidance_scale: 1 is no guidance.

    Returns:
        The evaluation.
    """

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> Sequence[Picture]:
        latents = sample(
            model, encoder, prompts, seeds, config, shape=shape, num_steps=num_steps, guidance_scale=guidance_scale
        )
        return list(to_pictures(codec().decode(latents)))

    return evaluate(draw, OneObjectWorld(), count=count, seed=0)


@torch.no_grad()
def held_out_loss(model: FlagDiT, encoder: TextEncoder, held_out: HeldOut) -> float:
    """The mean squared error of the velocity on the linear path, at evenly spread times and always the same noise.

    Args:
        model: The network, in evaluation mode, trained to predict the velocity on the linear path.
        encoder: Likewise.
        held_out: Pictures and captions.

    Returns:
        The mean over pictures, each at a time of its own.
    """
    x1_BCHW = held_out.latents_BCHW
    x0_BCHW = torch.randn(x1_BCHW.shape, generator=torch.Generator().manual_seed(0))
    t_B = (torch.arange(len(x1_BCHW)) + 0.5) / len(x1_BCHW)
    text = encoder(held_out.captions)
    losses_B = flow_matching_loss(lambda x, t: model(x, t, text.features, text.mask), x1_BCHW, x0_BCHW, t_B)
    return float(losses_B.mean())
