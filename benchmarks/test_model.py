"""The shipped models: seconds of a denoising step."""

import pytest
import torch
from torch import Tensor

from benchmarks.runner import Runner
from benchmarks.shipped import ARTIFACTS, Artifact, load
from flagdit_core.noise import latent_noise
from flagdit_core.pipeline import Pipeline
from flagdit_core.pipeline.velocity import GuidedVelocity
from flagdit_core.report import Report
from flagdit_kernels.bench import check_close

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PROMPT = "a small red circle left of a large blue square on a yellow background"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("side", [128, 256])
@torch.no_grad()
def test_denoising_step(measure: Runner, model: str, side: int, batch: int, dtype: str) -> None:
    """Time a step of pictures."""
    shape = (side // 8, side // 8)
    _measure_step(measure, "image", model, f"picture of {side}x{side}", PROMPT, shape, batch, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("artifact", ARTIFACTS[1:], ids=lambda artifact: artifact.modality)
@torch.no_grad()
def test_denoising_step_of(measure: Runner, artifact: Artifact, dtype: str) -> None:
    """Time a step of what the other modalities make by default."""
    size, shape = artifact.latent
    if artifact.missing is not None:
        measure.refuse("denoising step", settings={"size": size, "batch": 1, "dtype": dtype}, reason=artifact.missing)
    _measure_step(measure, artifact.modality, "nano", size, artifact.prompt, shape, 1, dtype)


def _measure_step(
    measure: Runner, modality: str, model: str, size: str, prompt: str, shape: tuple[int, ...], batch: int, dtype: str
) -> None:
    """Time what the sampler asks for at each step, once it gives in a batch what float32 gives alone."""
    pipeline, exact, t = load(modality, model, dtype), load(modality, model, "float32"), torch.tensor(0.5)
    shape = (pipeline.components.codec.latent_channels, *shape)
    latents = [latent_noise(shape, seed=0, index=index) for index in range(batch)]
    velocity = _guided_velocity(pipeline, prompt, latents)

    def gate() -> None:
        expected = _guided_velocity(exact, prompt, latents[:1])(latents[:1], t)[0]
        # rounding adds up over the blocks, and guidance magnifies it
        check_close(velocity(latents, t)[0], expected, DTYPES[dtype], "velocity", factor=5)

    measure(
        "denoising step",
        lambda: velocity(latents, t),
        gate=gate,
        settings={"size": size, "batch": batch, "dtype": dtype},
        work={"artifacts": batch},
    )


def _guided_velocity(pipeline: Pipeline, prompt: str, start: list[Tensor]) -> GuidedVelocity:
    """What the sampler follows, with the model's own settings."""
    parts, count = pipeline.components, len(start)
    return GuidedVelocity(parts, [prompt] * count, [None] * count, start, parts.sampling, Report())
