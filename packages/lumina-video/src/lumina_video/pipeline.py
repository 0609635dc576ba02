"""Text to films."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from flagdit_core.codec import enlarged
from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import Pipeline, Region, SamplingSettings, Shape, check_memory, memory_errors
from flagdit_core.pipeline.arguments import check_frame_size, check_latents, check_prompts, check_text, check_whole
from flagdit_core.pixels import to_pictures
from flagdit_core.report import Report
from lumina_video.codec import FilmCodec, load_codec
from lumina_video.conditioning import as_frame, known_frames, last_frames, usual_overlap
from lumina_video.film import Film, Picture
from lumina_video.modality import MODALITY


@dataclass(frozen=True, kw_only=True)
class VideoOutput:
    """Films and how they came about.

    Attributes:
        films: Decoded as they are gone through, so that none is in memory as a whole.
        latents: (N, C, t, h, w) float32, at t = 1.
        report: Settings used, and every deviation from what was asked.
    """

    films: list[Film]
    latents: Tensor
    report: Report


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedFrames:
    """The frames of a latent, decoded each time that they are gone through.

    Attributes:
        codec: Decodes.
        latent: (C, t, h, w).
    """

    codec: FilmCodec
    latent: Tensor

    def __len__(self) -> int:
        return self.codec.num_frames(self.latent.shape[1])

    def __iter__(self) -> Iterator[Picture]:
        with memory_errors(f"decoding a film of {len(self)} frames"):
            for frame in self.codec.decode_frames(self.latent):
                yield to_pictures(frame)


class VideoPipeline(Pipeline):
    """Text to films of any size and length.

    Args:
        components: Text encoder, network, codec and default settings.
        name: What to call the model in reports.

    Example:
        >>> pipe = VideoPipeline.from_pretrained("nano")
        >>> film = pipe("a red circle moves from left to right", num_frames=8, seed=7).films[0]
        >>> film.to_numpy().shape
        (8, 64, 64, 3)
    """

    modality = MODALITY
    projected_axes = 3

    @staticmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> FilmCodec:
        """The video VAE, or picture VAE, in a model's ``vae`` folder, in the precision asked for."""
        return load_codec(folder, dtype=dtype)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str] | None = None,
        next_prompt: str | None = None,
        image: Image.Image | None = None,
        last_image: Image.Image | None = None,
        video: Film | None = None,
        overlap: int | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        fps: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_videos_per_prompt: int = 1,
        seed: int | Sequence[int] | None = None,
        first_video_index: int = 0,
        latents: Tensor | None = None,
        callback_on_step_end: Callable[["VideoPipeline", int, float, dict[str, Any]], object] | None = None,
        strict: bool = False,
        progress: bool | None = None,
        solver: str | None = None,
        time_shift: float | None = None,
        settings: SamplingSettings | None = None,
    ) -> VideoOutput:
        """Films of what the prompts say. What is None is as the model folder says.

        Film k of a prompt depends on the prompt, the size, the length, the seed and k alone. No training is needed for
        first and last pictures, extension and transition: given frames are kept exactly while the others are made.

        Args:
            prompt: One text or several, none of them empty.
            negative_prompt: What to steer away from: one text for all, or one for each prompt.
            next_prompt: What the films turn into: its share grows evenly from the first frame to the last.
            image: Picture that the films begin with; scaled to cover the frame, and cut.
            last_image: Picture that they end with.
            video: Film to go on from: its last frames are the first of the new ones.
            overlap: How many frames of ``video``; None is 4, or 5 with a causal codec, or what a shorter one has.
            height: Pixels, a multiple of the codec's stride times the patch size; None is as ``video``, if there is
                one.
            width: Pixels, likewise.
            num_frames: Length in frames; with a causal codec one more than a multiple of 4.
            fps: Frames a second of the finished films; the frames do not depend on it.
            num_inference_steps: Solver steps.
            guidance_scale: Classifier-free guidance weight; 1 is none.
            num_videos_per_prompt: Films for each prompt.
            seed: One seed for all prompts, or one for each; None draws one for each prompt, which the report tells.
            first_video_index: Number of the first film under its seed.
            latents: (N, C, t, h, w) starting points at t = 0, instead of noise from a seed.
            callback_on_step_end: Called as ``(pipeline, step index, time, {"latents": (N, C, t, h, w)})`` after each
                step, to look on; raise ``CancelledError`` to stop.
            strict: Raise where something would only be reported, such as a prompt too long.
            progress: Show a progress bar; None shows it on a terminal only.
            solver: Name of the solver.
            time_shift: Above 1 puts more steps near the noise.
            settings: All sampling settings at once; those named above change them.

        Returns:
            The films, prompt after prompt, their latents and the report.

        Raises:
            ConfigError: An argument is out of range, or two contradict one another.
            ShapeError: The size is not divisible as the model needs, or ``latents`` has another shape.
            CodecError: The codec cannot have so many frames.
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
            count=num_videos_per_prompt,
            first=first_video_index,
            seed=seed,
            from_latents=latents is not None and not settings.is_stochastic,
            artifact="video",
        )
        codec, count = self._codec, len(batch)
        num_frames, fps = self._check_length(num_frames, fps)
        before = _frames_before(codec, video, overlap, has_image=image is not None)
        if before and height is None and width is None:
            height, width = before[0].shape[:2]
        size = check_frame_size(parts, height=height, width=width)
        shape = (codec.latent_channels, codec.latent_frames(num_frames), size.rows, size.columns)
        what = f"{count} film{'s' if count > 1 else ''} of {num_frames} frames of {size}"
        check_memory(max(size.num_bytes, 4 * count * math.prod(shape)), parts.model.device, what)
        check_latents(latents, (count, *shape))
        first = before if image is None else [as_frame(image, size)]
        last = [] if last_image is None else [as_frame(last_image, size)]
        known = known_frames(codec, shape, size, first=first, last=last, device=parts.model.device)
        regions = _transition(next_prompt, shape[1])
        report = Report(strict=strict)
        report.record(
            model=self.name,
            **batch.as_dict(),
            next_prompt=next_prompt,
            height=size.height,
            width=size.width,
            num_frames=num_frames,
            fps=fps,
            given_frames={"first": len(first), "last": len(last)},
            from_latents=latents is not None,
        )
        final = self.sample(
            batch,
            shape,
            settings,
            what=what,
            num_bytes=size.num_bytes,
            latents=latents,
            known=known,
            regions=regions,
            callback_on_step_end=callback_on_step_end,
            progress=progress,
            report=report,
        )
        films = [Film(frames=DecodedFrames(codec=codec, latent=latent), fps=fps) for latent in final]
        return VideoOutput(films=films, latents=final, report=report)

    def enlarged(self, latent: Tensor, shape: Shape) -> Tensor:
        """A film's latent with larger sides and more frames; see `Pipeline.enlarged`."""
        return enlarged(self._codec, latent[None], *shape[-2:], num_frames=self._codec.num_frames(shape[1]))[0]

    @property
    def _codec(self) -> FilmCodec:
        codec: Any = self.components.codec
        film_codec: FilmCodec = codec
        return film_codec

    def _check_length(self, num_frames: int | None, fps: float | None) -> tuple[int, float]:
        """Frames and frames a second, of the call or of the model."""
        defaults = self.components.defaults
        num_frames = defaults.get("num_frames") if num_frames is None else num_frames
        fps = defaults.get("fps") if fps is None else fps
        if num_frames is None or fps is None:
            raise ConfigError("this model has no length or rate of its own; give num_frames and fps")
        check_whole("num_frames", num_frames, 1)
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not math.isfinite(fps) or fps <= 0:
            raise ConfigError(f"fps must be a number above 0, got {fps!r}")
        return num_frames, float(fps)


def _frames_before(codec: FilmCodec, video: Film | None, overlap: int | None, *, has_image: bool) -> list[Picture]:
    """The frames of another film that the new ones go on from."""
    if video is None:
        if overlap is not None:
            raise ConfigError(f"overlap is how many frames of video are gone on from; give video too, got {overlap}")
        return []
    if not isinstance(video, Film):
        raise ConfigError(f"video must be a Film, got {type(video).__name__}; read_film reads one from a file")
    if has_image:
        raise ConfigError("a film can begin with a picture or go on from another film; give image or video")
    return last_frames(video, usual_overlap(codec, len(video.frames)) if overlap is None else overlap)


def _transition(next_prompt: str | None, latent_frames: int) -> list[Region]:
    """The share of another prompt, growing from frame to frame."""
    if next_prompt is None:
        return []
    if not isinstance(next_prompt, str) or not next_prompt.strip() or latent_frames < 2:
        raise ConfigError(
            "a transition needs a next_prompt that says something and 2 latent frames or more, "
            f"got {next_prompt!r} and {latent_frames}"
        )
    check_text(next_prompt)
    return [Region(prompt=next_prompt, weight=torch.linspace(0, 1, latent_frames)[None, :, None, None])]
