"""What the command line asks a modality for, and what it gets back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flagdit_core.errors import ConfigError
from flagdit_core.output import check_new_folder, check_output
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.report import Report

if TYPE_CHECKING:
    from torch import Tensor

# Lists in a report that have one item for each artifact, and what that item is called.
_PER_ITEM = {"prompts": "prompt", "negative_prompts": "negative_prompt", "seeds": "seed", "indices": "index"}


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What to make.

    Attributes:
        prompts: P texts; none yet where a world is asked for that fits the rest.
        settings: How to sample.
        negative_prompt: What to steer away from.
        size: (width, height), or None for the model's own.
        count: Artifacts for each prompt.
        first: Number of the first artifact under its seed.
        seeds: P seeds, or None to draw them.
        strict: Raise where something would only be reported.
        progress: Show a progress bar; None shows it on a terminal only.
        options: Values of the modality's own options that were given, by name.
        paths: Files that will be written, so that what their format cannot hold is refused early.
        source: Which model, for the metadata of all that is written.
    """

    prompts: Sequence[str]
    settings: SamplingSettings
    negative_prompt: str | None = None
    size: tuple[int, int] | None = None
    count: int = 1
    first: int = 0
    seeds: Sequence[int] | None = None
    strict: bool = False
    progress: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    paths: Sequence[Path] = ()
    source: Mapping[str, Any] = field(default_factory=dict)

    def extra_file(self, option: str, endings: Collection[str], *, of_one: bool = False) -> Path | None:
        """The path that one of the modality's options gives for a file to write too, made sure of before any work.

        Args:
            option: Its name.
            endings: What the path can end in, in lower case.
            of_one: Whether the file is of a single artifact.

        Returns:
            The path; None where the option is not given.

        Raises:
            ConfigError: The path ends in something else or is that of an artifact, or there are several to show.
            OutputError: No file can be written there.
        """
        path = self._extra(option, of_one=of_one)
        if path is not None:
            if path.suffix.lower() not in endings:
                raise ConfigError(f"--{option} must end in {', '.join(endings)}, got {path}")
            if path.absolute() in [other.absolute() for other in self.paths]:
                raise ConfigError(f"--{option} needs a name of its own: {path} is the file to make")
            check_output(path)
        return path

    def extra_folder(self, option: str, *, of_one: bool = False) -> Path | None:
        """The path that one of the modality's options gives for a folder to write too, made sure of before any work.

        Args:
            option: Its name.
            of_one: Whether the folder is of a single artifact.

        Returns:
            The path; None where the option is not given.

        Raises:
            ConfigError: There are several artifacts to show.
            OutputError: Something is there already.
        """
        path = self._extra(option, of_one=of_one)
        if path is not None:
            check_new_folder(path)
        return path

    def _extra(self, option: str, *, of_one: bool) -> Path | None:
        """The path that an option gives, if it does."""
        path: Path | None = self.options.get(option)
        if path is not None and of_one and self.count * len(self.prompts) > 1:
            raise ConfigError(f"--{option} is of one of them; leave --count out")
        return path


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was made.

    Attributes:
        artifacts: The modality's own media, prompt after prompt; for one of several that could not be made, the
            FlagDiTError that says why.
        metadata: For each, the JSON-ready settings that make it again.
        report: Of the whole batch.
        latents: Of what was made, (N, C, ...) float32 at t = 1; None where a modality does not say.
    """

    artifacts: Sequence[Any]
    metadata: Sequence[dict[str, Any]]
    report: Report
    latents: "Tensor | None" = None

    @classmethod
    def of(cls, artifacts: Sequence[Any], report: Report, *, latents: "Tensor | None" = None) -> Self:
        """Artifacts with each one's share of the report.

        Args:
            artifacts: As the attribute.
            report: A report whose prompts, seeds and indices have one item for each artifact.
            latents: As the attribute.

        Returns:
            The same artifacts with metadata.
        """
        return cls(
            artifacts=artifacts,
            metadata=[_share(report, number) for number in range(len(artifacts))],
            report=report,
            latents=latents,
        )


def _share(report: Report, number: int) -> dict[str, Any]:
    """A report's settings for one artifact."""
    own = {single: report.settings[plural][number] for plural, single in _PER_ITEM.items()}
    common = {name: value for name, value in report.as_dict().items() if name not in _PER_ITEM}
    return own | common
