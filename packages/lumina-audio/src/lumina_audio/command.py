"""What the ``lumina`` command asks of sound."""

import math
from typing import TYPE_CHECKING

from flagdit_core.errors import ConfigError
from flagdit_core.metadata import fingerprints
from flagdit_core.pipeline.request import Generated, GenerationRequest
from lumina_audio.artifacts import check_sound_file
from lumina_audio.pipeline import AudioPipeline
from lumina_audio.reading import read_sound
from lumina_audio.spectrogram import save_spectrogram

if TYPE_CHECKING:
    from lumina_audio.world import SoundWorld


def generate(pipeline: AudioPipeline, request: GenerationRequest) -> Generated:
    """The sounds that a command asks for.

    Args:
        pipeline: The model.
        request: What to make.

    Returns:
        The sounds with their metadata.

    Raises:
        FlagDiTError: As :meth:`AudioPipeline.__call__`; and what a file format cannot hold, or a file that is no sound.
    """
    options = request.options
    if request.size is not None:
        raise ConfigError("sounds have no --size; --seconds says how long they are")
    rate = options.get("sample-rate", pipeline.sample_rate)
    seconds = options.get("seconds", pipeline.components.defaults.get("audio_length_in_s"))
    for path in request.paths:
        check_sound_file(path, sample_rate=rate, num_samples=_num_samples(seconds, rate))
    picture = request.extra_file("spectrogram", (".png",), of_one=True)
    given = {name: options[name] for name in ("audio",) if name in options}
    output = pipeline(
        request.prompts,
        negative_prompt=request.negative_prompt,
        audio_length_in_s=options.get("seconds"),
        audio=read_sound(given["audio"]) if given else None,
        audio_span=_span(options.get("span-start"), options.get("span-end")),
        num_audios_per_prompt=request.count,
        first_audio_index=request.first,
        seed=request.seeds,
        strict=request.strict,
        progress=request.progress,
        settings=request.settings,
    )
    sounds = [sound.resampled(rate) for sound in output.audios]
    output.report.record(sample_rate=rate, given_files=fingerprints(given))
    generated = Generated.of(sounds, output.report, latents=output.latents)
    if picture is not None:
        save_spectrogram(sounds[0], picture, {**generated.metadata[0], **request.source})
    return generated


def world(pipeline: AudioPipeline, request: GenerationRequest) -> "SoundWorld":
    """The sound world for sounds of the duration that a command asks for.

    Args:
        pipeline: The model.
        request: What to make, without prompts.

    Returns:
        A world whose prompts ask for what has room in such a sound; longer ones are asked for no more than usual.
    """
    from lumina_audio.world import SoundWorld  # of no use but to evaluate, and slow to import

    usual = SoundWorld()
    seconds = request.options.get("seconds", pipeline.components.defaults.get("audio_length_in_s"))
    return SoundWorld(seconds=seconds) if seconds is not None and seconds < usual.seconds else usual


def _num_samples(seconds: float | None, rate: int) -> int:
    """How long a file gets; 1 where the pipeline will say what is wrong with the length."""
    return round(seconds * rate) if seconds is not None and 0 < seconds * rate < math.inf else 1


def _span(start: float | None, end: float | None) -> tuple[float, float] | None:
    """What is made anew."""
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise ConfigError("--span-start and --span-end go together")
    return start, end
