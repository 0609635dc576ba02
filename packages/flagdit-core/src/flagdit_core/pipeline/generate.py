"""From prompts to latents: what all modalities share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from flagdit_core.errors import ConfigError, FlagDiTError, ShapeError
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.noise import latent_noise, step_noise
from flagdit_core.pipeline.components import Components
from flagdit_core.pipeline.controls import Guide, Known, Region, known_cells
from flagdit_core.pipeline.memory import check_memory
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.pipeline.solve import solve
from flagdit_core.pipeline.velocity import GuidedVelocity, Shape, count_patches
from flagdit_core.report import Report
from flagdit_kernels import explain

StepCallback = Callable[[int, float, list[Tensor]], None]


@torch.no_grad()
def generate_latents(
    components: Components,
    prompts: Sequence[str],
    shapes: Sequence[Shape],
    settings: SamplingSettings,
    *,
    seeds: Sequence[int],
    indices: Sequence[int],
    negative_prompts: Sequence[str | None] | None = None,
    latents: Sequence[Tensor] | None = None,
    known: Sequence[Known | None] | None = None,
    regions: Sequence[Sequence[Region]] | None = None,
    guides: Sequence[Guide] | None = None,
    callback: StepCallback | None = None,
    progress: bool | None = False,
    report: Report,
) -> list[Tensor]:
    """Latents sampled from noise, one for each prompt; all of them in one packed batch, whatever their shapes.

    Sample i depends on its prompt, shape, seed and index only, and not on what is sampled beside it (but to rounding,
    and for adaptive solvers, whose steps follow the whole batch).

    Args:
        components: The parts.
        prompts: N texts.
        shapes: N latent shapes (C, H, W) or (C, T, H, W) or (C, L).
        settings: How to sample.
        seeds: N seeds of the noise.
        indices: N sample numbers under their seeds.
        negative_prompts: N texts to guide away from; None for the null prompt.
        latents: N starting points at t = 0 of those shapes, instead of noise from the seeds.
        known: What is given of each sample already, at t = 1; it is kept exactly.
        regions: Further prompts of each sample, for parts of it.
        guides: For each sample a smaller one, enlarged, that it follows.
        callback: Called after each step with (step index, time reached, N latents); raise ``CancelledError`` to stop.
        progress: Show a progress bar; None shows it on a terminal only.
        report: What was used, and every deviation, is noted here.

    Returns:
        N latents at t = 1, float32, on the network's device.

    Raises:
        ConfigError: The numbers of prompts, shapes, seeds or indices differ, a value is out of range, or something is
            known and the solver stochastic.
        ShapeError: A starting point, a known part or a region has another shape.
        OutOfMemoryError: The device is too small for it.
        StrictError: The report is strict and there was a deviation.
        FlagDiTError: The result is not finite.
    """
    count, network = len(prompts), components.model
    negatives = [None] * count if negative_prompts is None else list(negative_prompts)
    if not len(shapes) == len(seeds) == len(indices) == len(negatives) == count > 0:
        raise ConfigError(
            f"expected as many shapes, seeds, indices and negative prompts as prompts ({count}, at least 1), "
            f"got {len(shapes)}, {len(seeds)}, {len(indices)}, {len(negatives)}"
        )
    check_size(network, shapes, settings)
    start = _starting_points(shapes, seeds, indices, latents, network.device)
    sizes = [item.numel() for item in start]
    cells = None if known is None else known_cells(known, start, network.device)
    if cells is not None and settings.is_stochastic:
        raise ConfigError(f"known parts need a solver without noise, got {settings.solver!r}")
    velocity = GuidedVelocity(components, prompts, negatives, start, settings, report, regions=regions)

    def flat_velocity(x: Tensor, t: Tensor) -> Tensor:
        samples = _unflatten(x, sizes, shapes)
        velocities = velocity(samples, t)
        if guides is not None:
            each, now = zip(guides, velocities, samples, strict=True), float(t)
            velocities = [guide.follow(v, sample, now) for guide, v, sample in each]
        flat = _flatten(velocities)
        return flat if cells is None else torch.where(cells[0], cells[1], flat)

    def noise(step: int) -> Tensor:
        each = zip(shapes, seeds, indices, strict=True)
        return _flatten([step_noise(shape, seed=seed, index=index, step=step) for shape, seed, index in each])

    with tqdm(
        total=settings.num_inference_steps, disable=None if progress is None else not progress, leave=False
    ) as bar:

        def after_step(step: int, t: float, x: Tensor) -> None:
            bar.update()
            if callback is not None:
                callback(step, t, _unflatten(x, sizes, shapes))

        final = solve(flat_velocity, _flatten(start), settings, noise=noise, callback=after_step)
    if not bool(final.isfinite().all()):
        raise FlagDiTError(
            f"sampling left the finite numbers (guidance_scale {settings.guidance_scale:g}, {network.dtype}); "
            "lower the guidance, or use float32 weights"
        )
    kernels = explain(device=network.device, head_dim=network.config.head_dim)
    report.record(
        **settings.to_dict(),
        seeds=list(seeds) if latents is None or settings.is_stochastic else [None] * count,
        indices=list(indices),
        function_evaluations=velocity.evaluations,
        device=str(network.device),
        dtype=str(network.dtype).removeprefix("torch."),
        kernels={name: f"{choice['backend']}: {choice['reason']}" for name, choice in kernels.items()},
    )
    return _unflatten(final, sizes, shapes)


def check_size(network: FlagDiT, shapes: Sequence[Shape], settings: SamplingSettings) -> None:
    """Refuse what cannot fit: a block holds the tokens, their norm, and SwiGLU's two halves and their product.

    Args:
        network: What samples.
        shapes: Of the latents that are sampled at once.
        settings: Whether each is evaluated twice.

    Raises:
        OutOfMemoryError: The device is too small for it.
    """
    config = network.config
    tokens = sum(count_patches(network, shape) for shape in shapes) * (2 if settings.guidance_scale != 1.0 else 1)
    needed = tokens * (2 * config.hidden_size + 3 * config.ffn_hidden_size) * network.dtype.itemsize
    check_memory(needed, network.device, f"sampling {len(shapes)} latents, the first of shape {tuple(shapes[0])},")


def _starting_points(
    shapes: Sequence[Shape],
    seeds: Sequence[int],
    indices: Sequence[int],
    latents: Sequence[Tensor] | None,
    device: torch.device,
) -> list[Tensor]:
    """What each sample starts from at t = 0, float32."""
    if latents is None:
        return [
            latent_noise(shape, seed=seed, index=index).to(device)
            for shape, seed, index in zip(shapes, seeds, indices, strict=True)
        ]
    given = [tuple(item.shape) for item in latents]
    if given != [tuple(shape) for shape in shapes]:
        raise ShapeError(f"expected latents of shapes {list(map(tuple, shapes))}, got {given}")
    return [item.to(device=device, dtype=torch.float32) for item in latents]


def _flatten(latents: Sequence[Tensor]) -> Tensor:
    """All latents as one vector, which is what a sampler carries along."""
    return torch.cat([item.reshape(-1) for item in latents])


def _unflatten(x: Tensor, sizes: Sequence[int], shapes: Sequence[Shape]) -> list[Tensor]:
    """The latents of a vector."""
    return [piece.view(shape) for piece, shape in zip(torch.split(x, list(sizes)), shapes, strict=True)]
