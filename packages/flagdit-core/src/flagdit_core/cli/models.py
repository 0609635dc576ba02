"""From the name of a model, or of a recipe that has been run, to its modality, folder and settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flagdit_core.cli.overrides import apply_overrides
from flagdit_core.cli.recipes import find_recipe, shipped_recipes
from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.modalities import Modality, installed_modalities

if TYPE_CHECKING:
    from flagdit_core.pipeline import SamplingSettings


_RECIPE_MODEL = "model"  # where, inside its output_dir, a recipe puts the finished model


def find_model(name: str, modality_name: str | None = None) -> tuple[Modality, Path]:
    """The modality and the folder of a model.

    Args:
        name: A shipped model ("nano", or "image/nano" where several modalities have one), a folder, a hub id, or a
            recipe, which stands for the model that it wrote to its ``output_dir``.
        modality_name: Picks between modalities that ship a model of the same name.

    Returns:
        Modality and local folder.

    Raises:
        CheckpointError: There is no such model.
        ConfigError: The name is ambiguous, or no installed modality runs this model.
    """
    from flagdit_core.pipeline import read_model_index, resolve_model

    modalities = installed_modalities()
    if modality_name is not None and modality_name not in modalities:
        raise ConfigError(
            f"no modality {modality_name!r} is installed; installed are {', '.join(modalities) or 'none'}"
        )
    candidates = [entry for entry in modalities.values() if modality_name in (None, entry.name)]
    shipped = {f"{entry.name}/{model}": (entry, path) for entry in candidates for model, path in entry.models.items()}
    matches = [key for key in shipped if name in (key, key.partition("/")[2])]
    if len(matches) > 1:
        raise ConfigError(f"several modalities ship a model {name!r}; say which: {', '.join(matches)}")
    if matches:
        modality, path = shipped[matches[0]]
        return modality, resolve_model(name, {name: path})
    is_recipe = name in shipped_recipes() or (":" in name and not Path(name).is_dir())  # so has a folder on C:
    folder = _recipe_folder(name) if is_recipe else resolve_model(name, {})
    class_name = read_model_index(folder).get("_class_name")
    for entry in candidates:
        if entry.pipeline.rpartition(":")[2] == class_name:
            return entry, folder
    raise CheckpointError(
        f"{folder} holds the pipeline {class_name}, which no installed modality runs: {', '.join(modalities)}"
    )


def pipeline_settings(
    folder: Path, *, steps: int | None, guidance: float | None, solver: str | None, overrides: Sequence[str]
) -> "SamplingSettings":
    """A model's sampling settings with the command's changes, before any weights are loaded.

    Args:
        folder: A local model folder.
        steps: Solver steps; None keeps the model's own, as with the others.
        guidance: Guidance scale.
        solver: Name of the solver.
        overrides: ``name=value`` of any other setting.

    Returns:
        The settings.

    Raises:
        CheckpointError: The folder's index is missing or damaged.
        ConfigError: A value is out of range.
    """
    from flagdit_core.pipeline import SamplingSettings, read_model_index
    from flagdit_core.pipeline.folder import index_section

    settings = SamplingSettings.from_dict(index_section(folder, read_model_index(folder), "sampling")).replace(
        num_inference_steps=steps, guidance_scale=guidance, solver=solver
    )
    return apply_overrides(settings, overrides)


def _recipe_folder(name: str) -> Path:
    """Where a recipe leaves its model."""
    output_dir = getattr(find_recipe(name).default, "output_dir", None)
    if not isinstance(output_dir, Path):
        raise ConfigError(f"recipe {name} has no output_dir, so its model cannot be found; give the model's folder")
    if not output_dir.is_dir():
        raise CheckpointError(
            f"recipe {name} has not been run here: there is no {output_dir}; run: lumina train {name}"
        )
    return output_dir / _RECIPE_MODEL if (output_dir / _RECIPE_MODEL).is_dir() else output_dir
