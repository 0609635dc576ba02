"""Text to images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from flagdit_core.codec import enlarged
from flagdit_core.errors import ConfigError
from flagdit_core.picture_codec import PictureCodec
from flagdit_core.pipeline import Pipeline, SamplingSettings, Shape, memory_errors
from flagdit_core.pipeline.arguments import check_frame_size, check_latents, check_prompts
from flagdit_core.pixels import to_pictures, to_shares
from flagdit_core.report import Report
from lumina_image.inpainting import known_part
from lumina_image.modality import MODALITY

OutputType = Literal["pil", "np", "pt", "latent"]
_OUTPUT_TYPES = ("pil", "np", "pt", "latent")


@dataclass(frozen=True, kw_only=True)
class ImageOutput:
    """Pictures and how they came about.

    Attributes:
        images: A list of PIL images; or (N, H, W, 3) float32 array, (N, 3, H, W) float32 tensor, both in [0, 1]; or the
            latents, as ``output_type`` said.
        latents: (N, C, H / stride, W / stride) float32, at t = 1.
        report: Settings used, and every deviation from what was asked.
    """

    images: list[Image.Image] | NDArray[np.float32] | Tensor
    latents: Tensor
    report: Report


class ImagePipeline(Pipeline):
    """Text to images of any size.

    Args:
        components: Text encoder, network, codec and default settings.
        name: What to call the model in reports.

    Example:
        >>> pipe = ImagePipeline.from_pretrained("nano")
        >>> pipe("a red circle", height=128, width=192, seed=7).images[0].size
        (192, 128)
    """

    modality = MODALITY
    projected_axes = 2

    @staticmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> PictureCodec:
        """The picture VAE in a model's ``vae`` folder, in the precision asked for."""
        return PictureCodec.from_pretrained(folder, dtype=dtype)

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str] | None = None,
        image: Image.Image | None = None,
        mask_image: Image.Image | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_images_per_prompt: int = 1,
        seed: int | Sequence[int] | None = None,
        first_image_index: int = 0,
        latents: Tensor | None = None,
        output_type: OutputType = "pil",
        callback_on_step_end: Callable[["ImagePipeline", int, float, dict[str, Any]], object] | None = None,
        strict: bool = False,
        progress: bool | None = None,
        solver: str | None = None,
        time_shift: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        guidance_rescale: float | None = None,
        settings: SamplingSettings | None = None,
    ) -> ImageOutput:
        """Pictures of what the prompts say. What is None is as the model folder says.

        Picture k of a prompt depends on the prompt, the size, the seed and k alone, whatever else is in the batch.

        Args:
            prompt: One text or several, none of them empty.
            negative_prompt: What to steer away from: one text for all, or one for each prompt.
            image: Paint a part of this picture anew, and keep the rest of it.
            mask_image: The part, white on black; both have the size of what is made.
            height: Pixels, a multiple of the codec's stride times the patch size.
            width: Pixels, likewise.
            num_inference_steps: Solver steps.
            guidance_scale: Classifier-free guidance weight; 1 is none.
            num_images_per_prompt: Pictures for each prompt.
            seed: One seed for all prompts, or one for each; None draws one for each prompt, which the report tells.
            first_image_index: Number of the first picture under its seed: 3 with one picture per prompt gives the
                fourth of four alone.
            latents: (N, C, H / stride, W / stride) starting points at t = 0, instead of noise from a seed.
            output_type: "pil", "np", "pt" or "latent".
            callback_on_step_end: Called as ``(pipeline, step index, time, {"latents": (N, C, h, w)})`` after each step,
                to look on; raise ``CancelledError`` to stop.
            strict: Raise where something would only be reported, such as a prompt too long.
            progress: Show a progress bar; None shows it on a terminal only.
            solver: Name of the solver.
            time_shift: Above 1 puts more steps near the noise.
            guidance_interval: (start, end) in time, within which guidance acts.
            guidance_rescale: 0 to 1, how far the guided velocity's spread is pulled back.
            settings: All sampling settings at once; those named above change them.

        Returns:
            The pictures, prompt after prompt, their latents and the report.

        Raises:
            ConfigError: An argument is out of range, or two contradict one another.
            ShapeError: The size is not divisible as the model needs, or ``latents`` has another shape.
            OutOfMemoryError: The device is too small for that size.
            StrictError: ``strict`` is set and there was a deviation.
        """
        if output_type not in _OUTPUT_TYPES:
            raise ConfigError(f"output_type must be one of {', '.join(_OUTPUT_TYPES)}, got {output_type!r}")
        settings = (settings or self.components.sampling).replace(
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            solver=solver,
            time_shift=time_shift,
            guidance_interval=guidance_interval,
            guidance_rescale=guidance_rescale,
        )
        batch = check_prompts(
            prompt,
            negative_prompt=negative_prompt,
            guided=settings.guidance_scale != 1.0,
            count=num_images_per_prompt,
            first=first_image_index,
            seed=seed,
            from_latents=latents is not None and not settings.is_stochastic,
            artifact="image",
        )
        size, count = check_frame_size(self.components, height=height, width=width), len(batch)
        shape = (self.components.codec.latent_channels, size.rows, size.columns)
        check_latents(latents, (count, *shape))
        known = known_part(self.components, image, mask_image, size)
        what = f"{count} picture{'s' if count > 1 else ''} of {size}"
        report = Report(strict=strict)
        report.record(
            model=self.name,
            **batch.as_dict(),
            height=size.height,
            width=size.width,
            from_latents=latents is not None,
            inpainted=known is not None,
        )
        final_NCHW = self.sample(
            batch,
            shape,
            settings,
            what=what,
            num_bytes=(count if output_type in ("np", "pt") else 1) * size.num_bytes,
            latents=latents,
            known=known,
            callback_on_step_end=callback_on_step_end,
            progress=progress,
            report=report,
        )
        with memory_errors(what):
            return ImageOutput(images=self._decode(final_NCHW, output_type), latents=final_NCHW, report=report)

    def enlarged(self, latent: Tensor, shape: Shape) -> Tensor:
        """A picture's latent with larger sides; see `Pipeline.enlarged`."""
        return enlarged(self.components.codec, latent[None], *shape[-2:])[0]

    @torch.no_grad()
    def _decode(
        self, latents_NCHW: Tensor, output_type: OutputType
    ) -> list[Image.Image] | NDArray[np.float32] | Tensor:
        """Latents as what the caller asked for."""
        if output_type == "latent":
            return latents_NCHW
        # One at a time: memory stays bounded, and no picture depends on the batch even in rounding.
        decoded = (self.components.codec.decode(latent[None])[0] for latent in latents_NCHW)
        if output_type == "pil":
            return [Image.fromarray(to_pictures(pixels)) for pixels in decoded]
        pixels_NCHW = torch.stack([to_shares(pixels).cpu() for pixels in decoded])
        return pixels_NCHW if output_type == "pt" else rearrange(pixels_NCHW, "n c h w -> n h w c").numpy()
