"""Which kinds of media this installation can make. Found through entry points; nothing registers by being imported."""

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from flagdit_core.errors import ConfigError

ENTRY_POINT_GROUP = "lumina.modalities"

# Our own distributions, so that an ending whose package is absent can name what to install.
_KNOWN_ENDINGS = {
    "lumina-image": (".png", ".jpg", ".jpeg", ".webp"),
    "lumina-video": (".mp4", ".gif", ".webm"),
    "lumina-3d": (".glb", ".obj", ".ply", ".stl"),
    "lumina-audio": (".wav", ".flac", ".ogg", ".mp3"),
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of ``lumina infer`` and ``lumina eval`` that only one modality has.

    Attributes:
        name: As typed after ``--``, with hyphens.
        kind: What its value is read as; bool for one without a value.
        help: What it does, in a few words.
    """

    name: str
    kind: type[int] | type[float] | type[bool] | type[str] | type[Path]
    help: str


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One kind of media: what it is called and where its parts are. Importing it must be cheap.

    Every part but the names is given as ``"package.module:object"`` and loaded on use (:func:`load_object`).

    Attributes:
        name: Short name, such as ``"image"``.
        distribution: What ``pip install`` calls the package.
        endings: File endings that it writes, with their dot, in lower case.
        pipeline: Class with ``from_pretrained(model, *, device, dtype)``.
        generate: Function ``(pipeline, request: GenerationRequest) -> Generated``.
        save: Function ``(artifact, path, metadata) -> None`` that writes one file atomically.
        read_metadata: Function ``(path) -> dict`` that reads back what ``save`` stored.
        options: What its ``generate`` understands beside what all do; it finds them in ``request.options``.
        models: Shipped model folders by short name.
        recipes: Shipped training recipes by short name; ``lumina train`` calls them ``<modality>/<name>``.
        world: Function ``(pipeline, request: GenerationRequest) -> World`` for ``lumina eval``, or None where there is
            none. The request has no prompts yet; what the world could not judge raises a ShapeError.
        contact_sheet: Function ``(artifacts, path) -> None`` that shows many at once, or None.
        companions: Endings of files that it writes beside its own; ``read_metadata`` reads these too.
    """

    name: str
    distribution: str
    endings: tuple[str, ...]
    pipeline: str
    generate: str
    save: str
    read_metadata: str
    options: tuple[Option, ...] = ()
    models: Mapping[str, Path] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)
    world: str | None = None
    contact_sheet: str | None = None
    companions: tuple[str, ...] = ()


@cache
def installed_modalities() -> Mapping[str, Modality]:
    """The installed modalities by name.

    Returns:
        Name to description, in alphabetical order.

    Raises:
        ConfigError: An entry point of the group does not lead to a :class:`Modality`.

    Example:
        >>> sorted(installed_modalities())  # doctest: +SKIP
        ['image']
    """
    found: dict[str, Modality] = {}
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        modality = entry.load()
        if not isinstance(modality, Modality):
            raise ConfigError(
                f"entry point {entry.name!r} of {ENTRY_POINT_GROUP} leads to a {type(modality).__name__}, "
                "expected a flagdit_core.modalities.Modality"
            )
        found[modality.name] = modality
    return found


def modality_of_file(path: Path) -> Modality:
    """The modality that writes files with this path's ending.

    Args:
        path: Output or input file; only its ending is looked at.

    Returns:
        The installed modality.

    Raises:
        ConfigError: No modality, or none that is installed, has this ending.
    """
    ending = path.suffix.lower()
    for modality in installed_modalities().values():
        if ending in modality.endings:
            return modality
    for distribution, endings in _KNOWN_ENDINGS.items():
        if ending in endings:
            raise ConfigError(f"{path}: files ending in {ending} are made by {distribution}, {_remedy(distribution)}")
    known = " ".join(ending for modality in installed_modalities().values() for ending in modality.endings)
    came = f"ends in {ending!r}" if ending else "has no file ending"
    raise ConfigError(f"{path} {came}; expected one of {known or '(no modality is installed)'}")


def modality_that_reads(path: Path) -> Modality:
    """The modality that reads the settings in a file with this path's ending.

    Args:
        path: A file that this program may have written; only its ending is looked at.

    Returns:
        The installed modality that makes such files, else one that writes them beside its own.

    Raises:
        ConfigError: No modality, or none that is installed, has this ending.
    """
    ending, modalities = path.suffix.lower(), installed_modalities().values()
    if not any(ending in modality.endings for modality in modalities):
        for modality in modalities:
            if ending in modality.companions:
                return modality
    return modality_of_file(path)


def _remedy(distribution: str) -> str:
    """What to do about a distribution of ours that offers no modality here."""
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return f"which is not installed: pip install {distribution}"
    return f"whose installed release {version} cannot make any yet: pip install --upgrade {distribution}"


def load_object(path: str) -> Any:
    """The object that ``"package.module:name"`` leads to.

    Args:
        path: Module path, a colon, and the object's name inside it (dots reach into attributes).

    Returns:
        The object.

    Raises:
        ConfigError: The path is malformed, or the module or the object does not exist.

    Example:
        >>> load_object("math:pi") > 3
        True
    """
    module_name, colon, object_name = path.partition(":")
    if not (module_name and colon and object_name) or module_name.startswith("."):  # as in ./recipe.py:train
        raise ConfigError(f"{path!r} is not of the form package.module:name")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"{path!r}: there is no module {error.name!r} here") from error
    for attribute in object_name.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise ConfigError(f"{path!r}: module {module_name!r} has no {attribute!r}") from error
    return found
