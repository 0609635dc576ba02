"""Text to sound."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.model.checkpoint import read_config
from flagdit_core.pipeline import Pipeline, SamplingSettings, check_memory, memory_errors
from flagdit_core.pipeline.arguments import PromptBatch, check_latents, check_prompts
from flagdit_core.report import Report
from lumina_audio.codec import SoundCodec, latent_shape
from lumina_audio.conditioning import check_span, fitting, known_sound, splice
from lumina_audio.modality import MODALITY
from lumina_audio.phonemes import Spelling, model_spelling, spell
from lumina_audio.sound import Sound


@dataclass(frozen=True, kw_only=True)
class AudioOutput:
    """Sounds and how they came about.

    Attributes:
        audios: Peak-safe, and of a sane level.
        latents: (N, C, L), or (N, C, R, L) of a codec with several rows; float32, at t = 1.
        report: Settings used, and every deviation from what was asked.
    """

    audios: list[Sound]
    latents: Tensor
    report: Report


class AudioPipeline(Pipeline):
    """Text to sound of any duration.

    Args:
        components: Text encoder, network, codec and default settings: ``audio_length_in_s``, and the ``spelling`` that
            the network was trained on, "characters" if there is none.
        name: What to call the model in reports.

    Example:
        >>> pipe = AudioPipeline.from_pretrained("nano")
        >>> pipe("three short high beeps, then a low bell", audio_length_in_s=3.2, seed=7).audios[0].seconds
        3.2
    """

    modality = MODALITY

    @staticmethod
    def load_codec(folder: Path, *, dtype: torch.dtype) -> SoundCodec:
        """The mel VAE or waveform autoencoder in a model's ``vae`` folder, in the precision asked for."""
        from lumina_audio.mel_codec import MelCodec
        from lumina_audio.waveform_codec import WaveformCodec

        match read_config(folder).get("_class_name"):
            case "MelVAE":
                return MelCodec.from_pretrained(folder, dtype=dtype)
            case "AutoencoderOobleck":
                return WaveformCodec.from_pretrained(folder, dtype=dtype)
            case kind:
                raise CheckpointError(f"expected a MelVAE or an AutoencoderOobleck in {folder}, got {kind}")

    @property
    def sample_rate(self) -> int:
        """Of the sounds that it makes, in Hz."""
        return self._codec.sample_rate

    @property
    def spelling(self) -> Spelling:
        """How the network reads what prompts say in quotes."""
        return model_spelling(self.components.defaults)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str] | None = None,
        audio_length_in_s: float | None = None,
        audio: Sound | None = None,
        audio_span: tuple[float, float] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_audios_per_prompt: int = 1,
        seed: int | Sequence[int] | None = None,
        first_audio_index: int = 0,
        latents: Tensor | None = None,
        callback_on_step_end: Callable[["AudioPipeline", int, float, dict[str, Any]], object] | None = None,
        strict: bool = False,
        progress: bool | None = None,
        solver: str | None = None,
        time_shift: float | None = None,
        settings: SamplingSettings | None = None,
    ) -> AudioOutput:
        """Sounds of what the prompts say. What is None is as the model folder says.

        Sound k of a prompt depends on the prompt, the duration, the seed and k alone. A given sound is kept as it is
        outside the span that is made anew (turned down as a whole where it would clip), with cross-fades of 10 ms
        inside the span, or before it at the end of the given sound; no training is needed for it.

        Args:
            prompt: One text or several, none of them empty; with a given sound, what the whole is. What is to be spoken
                stands in quotes; for a model trained on phonemes espeak-ng spells it as it sounds.
            negative_prompt: What to steer away from: one text for all, or one for each prompt.
            audio_length_in_s: Seconds, made to the sample. None for the model's own, or with a span the given sound's.
            audio: Sound to go on from, or to change a span of; resampled to the model's rate.
            audio_span: (start, end) in seconds of what is made anew of it; None for all that comes after it.
            num_inference_steps: Solver steps.
            guidance_scale: Classifier-free guidance weight; 1 is none.
            num_audios_per_prompt: Sounds for each prompt.
            seed: One seed for all prompts, or one for each; None draws one for each prompt, which the report tells.
            first_audio_index: Number of the first sound under its seed.
            latents: (N, C, L) or (N, C, R, L), starting points at t = 0, instead of noise from a seed.
            callback_on_step_end: Called as ``(pipeline, step index, time, {"latents": ...})`` after each step, to look
                on; raise ``CancelledError`` to stop.
            strict: Raise where something would only be reported, such as a prompt too long.
            progress: Show a progress bar; None shows it on a terminal only.
            solver: Name of the solver.
            time_shift: Above 1 puts more steps near the noise.
            settings: All sampling settings at once; those named above change them.

        Returns:
            The sounds, prompt after prompt, their latents and the report.

        Raises:
            ConfigError: An argument is out of range, or two contradict one another.
            ShapeError: ``latents`` has another shape.
            BackendUnavailableError: The model reads phonemes, and espeak-ng is not installed.
            OutOfMemoryError: The device is too small for that duration.
            StrictError: ``strict`` is set and there was a deviation.
        """
        parts, codec = self.components, self._codec
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
            count=num_audios_per_prompt,
            first=first_audio_index,
            seed=seed,
            from_latents=latents is not None and not settings.is_stochastic,
            artifact="audio",
        )
        spelled = self._spelled(batch)
        if audio is None and audio_span is not None:
            raise ConfigError("audio_span is a part of audio: give both")
        given = None if audio is None else fitting(audio, codec)
        if audio_length_in_s is None and given is not None and audio_span is not None:
            audio_length_in_s = given.seconds
        count, seconds = len(batch), self._check_length(audio_length_in_s)
        num_samples = max(1, round(seconds * codec.sample_rate))
        shape = latent_shape(codec, num_samples, patch_size=parts.model.config.patch_size)
        check_latents(latents, (count, *shape))
        what = f"{count} sound{'s' if count > 1 else ''} of {seconds:g} s"
        check_memory(count * num_samples * codec.audio_channels * 4, parts.model.device, what)
        span, known = (0.0, seconds), None
        if given is not None:
            span = check_span(audio_span, given, seconds)
            with memory_errors(what):
                known = known_sound(codec, given, span, shape[-1], parts.model.device)
        report = Report(strict=strict)
        report.record(
            model=self.name,
            **batch.as_dict(),
            audio_length_in_s=seconds,
            sample_rate=codec.sample_rate,
            spelling=self.spelling,
            made_span=list(span),
            from_latents=latents is not None,
        )
        final = self.sample(
            spelled,
            shape,
            settings,
            what=what,
            num_bytes=count * num_samples * codec.audio_channels * 4,
            latents=latents,
            known=known,
            callback_on_step_end=callback_on_step_end,
            progress=progress,
            report=report,
        )
        with memory_errors(what):
            sounds = [self._decode(latent, num_samples) for latent in final]
        if given is not None:
            sounds = [splice(sound, given, span) for sound in sounds]
        else:
            sounds = [sound.levelled()[0] for sound in sounds]
        return AudioOutput(audios=sounds, latents=final, report=report)

    @property
    def _codec(self) -> SoundCodec:
        codec: Any = self.components.codec
        sound_codec: SoundCodec = codec
        return sound_codec

    def _spelled(self, batch: PromptBatch) -> PromptBatch:
        """The batch as the network reads it."""
        return replace(
            batch,
            prompts=[spell(text, self.spelling) for text in batch.prompts],
            negative_prompts=[text and spell(text, self.spelling) for text in batch.negative_prompts],
        )

    def _check_length(self, seconds: float | None) -> float:
        """The duration of the call or of the model."""
        seconds = self.components.defaults.get("audio_length_in_s") if seconds is None else seconds
        if seconds is None:
            raise ConfigError("this model has no duration of its own; give audio_length_in_s")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 0 < seconds * self.sample_rate < math.inf:
            raise ConfigError(f"audio_length_in_s must be a number of seconds above 0, got {seconds!r}")
        return float(seconds)

    def _decode(self, latent: Tensor, num_samples: int) -> Sound:
        """A latent as sound, cut to the sample; turned down where it would clip."""
        samples = self._codec.decode(latent[None])[0, :, :num_samples].float().cpu().numpy()
        return Sound.of(samples, sample_rate=self._codec.sample_rate, safe=True)
