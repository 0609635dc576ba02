"""The shipped model: seconds of a denoising step."""

from functools import cache

import pytest
import torch
from torch import Tensor

from benchmarks.runner import Runner
from flagdit_core.noise import latent_noise
from flagdit_core.pipeline.velocity import GuidedVelocity
from flagdit_core.report import Report
from flagdit_kernels.bench import check_close
from lumina_image import ImagePipeline

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PROMPT = "a small red circle left of a large blue square on a yellow background"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("side", [128, 256])
@torch.no_grad()
def test_denoising_step(measure: Runner, model: str, side: int, batch: int, dtype: str) -> None:
    """Time what the sampler asks for at each step, once it gives in a batch what float32 gives alone."""
    pipeline, t = load(model, dtype), torch.tensor(0.5)
    latents, velocity = noise(pipeline, side, batch), guided_velocity(pipeline, side, batch)

    def gate() -> None:
        exact = guided_velocity(load(model, "float32"), side, 1)(latents[:1], t)[0]
        # rounding adds up over the blocks, and guidance magnifies it
        check_close(velocity(latents, t)[0], exact, DTYPES[dtype], "velocity", factor=5)

    measure(
        "denoising step",
        lambda: velocity(latents, t),
        gate=gate,
        settings={"size": f"{side}x{side}", "batch": batch, "dtype": dtype},
        work={"pictures": batch},
    )


@cache
def load(model: str, dtype: str) -> ImagePipeline:
    """The pipeline, read once."""
    return ImagePipeline.from_pretrained(model, dtype=DTYPES[dtype])


def noise(pipeline: ImagePipeline, side: int, batch: int) -> list[Tensor]:
    """Where ``batch`` pictures start."""
    return [latent_noise(latent_shape(pipeline, side), seed=0, index=index) for index in range(batch)]


def guided_velocity(pipeline: ImagePipeline, side: int, batch: int) -> GuidedVelocity:
    """What the sampler follows, with the model's own settings."""
    parts = pipeline.components
    start = noise(pipeline, side, batch)
    return GuidedVelocity(parts, [PROMPT] * batch, [None] * batch, start, parts.sampling, Report())


def latent_shape(pipeline: ImagePipeline, side: int) -> tuple[int, int, int]:
    """(C, H, W) of a square picture's latent."""
    codec = pipeline.components.codec
    return (codec.latent_channels, side // codec.stride[1], side // codec.stride[2])
