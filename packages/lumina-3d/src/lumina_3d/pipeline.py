"""Text to views all around an object, and to the object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flagdit_core.codec import enlarged
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Pipeline, SamplingSettings, Shape, memory_errors
from flagdit_core.pipeline.arguments import check_frame_size, check_latents, check_prompts, check_whole
from flagdit_core.pixels import Pictures, to_pictures
from flagdit_core.report import Report
from lumina_3d.cameras import ELEVATIONS, orbit
from lumina_3d.conditioning import known_front
from lumina_3d.modality import MODALITY
from lumina_3d.reconstruction import reconstruct
from lumina_3d.views import Object3D, Views


@dataclass(frozen=True, kw_only=True)
class ObjectOutput:
    """Views and how they came about.

    Attributes:
        views: Pictures all around each object, with their cameras.
        latents: (N, C, V, h, w) float32, at t = 1; V is the number of views.
        report: Settings used, and every deviation from what was asked.
    """

    views: list[Views]
    latents: Tensor
    report: Report

    def objects(self, *, mesh_resolution: int = 64) -> list[Object3D]:
        """The objects that the views show.

        Args:
            mesh_resolution: Voxels along each one's longest side, 16 to 512.

        Returns:
            Watertight meshes with colours, in the order of the views.

        Raises:
            ConfigError: There are fewer than three views, or the resolution is out of range.
            EmptyForegroundError: Some views show no object; it carries them.
        """
        return [reconstruct(views, resolution=mesh_resolution) for views in self.views]


class ObjectPipeline(Pipeline):
    """Text to views around an object, at any number of them, and from them to a mesh.

    Args:
        components: Text encoder, network, codec and default settings.
        name: What to call the model in reports.

    Example:
        >>> pipe = ObjectPipeline.from_pretrained("nano")
        >>> out = pipe("a large red cube", seed=7)
        >>> out.objects()[0].mesh.is_watertight
        True
    """

    modality = MODALITY
    projected_axes = 2

    @staticmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> PictureCodec:
        """The picture VAE in a model's ``vae`` folder, in the precision asked for."""
        return PictureCodec.from_pretrained(folder, dtype=dtype)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str] | None = None,
        image: Image.Image | None = None,
        height: int | None = None,
        width: int | None = None,
        num_views: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_objects_per_prompt: int = 1,
        seed: int | Sequence[int] | None = None,
        first_object_index: int = 0,
        latents: Tensor | None = None,
        callback_on_step_end: Callable[["ObjectPipeline", int, float, dict[str, Any]], object] | None = None,
        strict: bool = False,
        progress: bool | None = None,
        solver: str | None = None,
        time_shift: float | None = None,
        settings: SamplingSettings | None = None,
    ) -> ObjectOutput:
        """Views of what the prompts say. What is None is as the model folder says.

        View i is seen from azimuth 360 i / num_views and, in turn, from the elevations in the model's defaults.
        Object k of a prompt depends on the prompt, the size, the number of views, the seed and k alone.

        Args:
            prompt: One text or several, none of them empty.
            negative_prompt: What to steer away from: one text for all, or one for each prompt.
            image: Picture of the objects' front before a plain background: the first view, which is kept.
            height: Pixels of a view, a multiple of the codec's stride times the patch size.
            width: Pixels, likewise.
            num_views: Around each object, at least 1; a mesh needs 3.
            num_inference_steps: Solver steps.
            guidance_scale: Classifier-free guidance weight; 1 is none.
            num_objects_per_prompt: Objects for each prompt.
            seed: One seed for all prompts, or one for each; None draws one for each prompt, which the report tells.
            first_object_index: Number of the first object under its seed.
            latents: (N, C, V, h, w) starting points at t = 0, instead of noise from a seed.
            callback_on_step_end: Called as ``(pipeline, step index, time, {"latents": (N, C, V, h, w)})`` after each
                step, to look on; raise ``CancelledError`` to stop.
            strict: Raise where something would only be reported, such as a prompt too long.
            progress: Show a progress bar; None shows it on a terminal only.
            solver: Name of the solver.
            time_shift: Above 1 puts more steps near the noise.
            settings: All sampling settings at once; those named above change them.

        Returns:
            The views, prompt after prompt, their latents and the report.

        Raises:
            ConfigError: An argument is out of range, or two contradict one another.
            ShapeError: The size is not divisible as the model needs, or ``latents`` has another shape.
            OutOfMemoryError: The device is too small for it.
            StrictError: ``strict`` is set and there was a deviation.
        """
        parts = self.components
        settings = (settings or parts.sampling).replace(
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            solver=solver,
            time_shift=time_shift,
        )
        batch = check_prompts(
            prompt,
            negative_prompt=negative_prompt,
            guided=settings.guidance_scale != 1.0,
            count=num_objects_per_prompt,
            first=first_object_index,
            seed=seed,
            from_latents=latents is not None and not settings.is_stochastic,
            artifact="object",
        )
        size, count = check_frame_size(parts, height=height, width=width), len(batch)
        num_views = parts.defaults.get("num_views", 12) if num_views is None else num_views
        check_whole("num_views", num_views, 1)
        elevations = parts.defaults.get("elevations", ELEVATIONS)
        shape = (parts.codec.latent_channels, num_views, size.rows, size.columns)
        check_latents(latents, (count, *shape))
        what = f"{count} object{'s' if count > 1 else ''} of {num_views} views of {size}"
        with memory_errors(what):
            known = None if image is None else known_front(parts.codec, image, shape, size, parts.model.device)
        report = Report(strict=strict)
        report.record(
            model=self.name,
            **batch.as_dict(),
            height=size.height,
            width=size.width,
            num_views=num_views,
            elevations=list(elevations),
            from_image=image is not None,
            from_latents=latents is not None,
        )
        final = self.sample(
            batch,
            shape,
            settings,
            what=what,
            num_bytes=count * num_views * size.num_bytes // 4,  # of views in 8 bits
            latents=latents,
            known=known,
            callback_on_step_end=callback_on_step_end,
            progress=progress,
            report=report,
        )
        cameras = orbit(num_views, elevations=elevations)
        with memory_errors(what):
            views = [Views(images=self._decode(latent), cameras=cameras) for latent in final]
        return ObjectOutput(views=views, latents=final, report=report)

    def enlarged(self, latent: Tensor, shape: Shape) -> Tensor:
        """The views' latent with larger sides; see `Pipeline.enlarged`."""
        views = (enlarged(self.components.codec, view[None], *shape[-2:])[0] for view in latent.unbind(1))
        return torch.stack(list(views), dim=1)

    def _decode(self, latent: Tensor) -> Pictures:
        """The pictures (V, H, W, 3) of a latent (C, V, h, w), decoded one at a time."""
        codec = self.components.codec
        return np.stack([to_pictures(codec.decode(view[None])[0]) for view in latent.unbind(1)])
