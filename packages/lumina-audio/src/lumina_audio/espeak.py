"""Speech by the espeak-ng program, where it is installed; nothing in this package needs it."""

import io
import shutil
import subprocess
from dataclasses import dataclass

import soundfile

from flagdit_core.errors import BackendUnavailableError, CodecError, ConfigError
from lumina_audio.sound import Sound

PROGRAM = "espeak-ng"
_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How espeak-ng is to speak.

    Attributes:
        name: Language and variant as its ``-v`` takes them, for example "en-us+f2".
        pitch: 0 to 99.
        words_per_minute: 80 to 450.
    """

    name: str = "en-us"
    pitch: int = 50
    words_per_minute: int = 165

    def __post_init__(self) -> None:
        if not (0 <= self.pitch <= 99 and 80 <= self.words_per_minute <= 450):
            raise ConfigError(
                f"expected a pitch from 0 to 99 and 80 to 450 words per minute, "
                f"got {self.pitch} and {self.words_per_minute}"
            )


def is_installed() -> bool:
    """Whether espeak-ng can be started here."""
    return shutil.which(PROGRAM) is not None


def speak(text: str, voice: Voice = Voice()) -> Sound:
    """Text read aloud.

    Args:
        text: What to say.
        voice: Who says it.

    Returns:
        Mono, at espeak-ng's own rate of 22 050 Hz.

    Raises:
        BackendUnavailableError: espeak-ng is not installed.
        CodecError: It fails, or the text has nothing to say.

    Example:
        >>> speak("seven").num_channels  # doctest: +SKIP
        1
    """
    options = ["-v", voice.name, "-p", str(voice.pitch), "-s", str(voice.words_per_minute), "--stdout"]
    recorded = run_espeak(options, text)
    try:
        samples, sample_rate = soundfile.read(io.BytesIO(recorded), dtype="float32")
        return Sound.of(samples, sample_rate=sample_rate)
    except (soundfile.SoundFileError, CodecError) as error:
        raise CodecError(f"{PROGRAM} said nothing for {text!r}: {error}") from error


def run_espeak(options: list[str], text: str) -> bytes:
    """What espeak-ng writes for a text.

    Args:
        options: Its options.
        text: Given on its standard input, so that nothing in it is taken for an option.

    Returns:
        Its standard output.

    Raises:
        BackendUnavailableError: It is not installed.
        CodecError: It fails or takes longer than half a minute.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise BackendUnavailableError(
            f"{PROGRAM} is not installed; install it (apt install espeak-ng, brew install espeak-ng) or use characters"
        )
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, and the text goes to its standard input
            [program, *options, "--stdin"], input=text.encode(), capture_output=True, timeout=_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        raise CodecError(f"{PROGRAM} failed: {error.stderr.decode(errors='replace').strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise CodecError(f"{PROGRAM} did not end within {_SECONDS:.0f} seconds") from error
    return done.stdout
