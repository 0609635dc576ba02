"""The recipe of one network for all four modalities: each update learns from one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from flagdit_core.devices import pick_device
from flagdit_core.errors import ConfigError
from flagdit_core.model.config import FlagDiTConfig
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import check_new_folder
from flagdit_core.recipes import (
    NANO_TRAINING,
    Medium,
    NetworkRecipe,
    Part,
    Stage,
    first_networks,
    make_and_verify,
    save_models,
    shrunk,
)
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import train
from flagdit_core.training.processes import joined
from studies.one_model.media import MEDIA, caption, folded_codec
from studies.one_model.mixture import Mixture, Ration

RATIONS = {
    "picture": Ration(examples=1.0),
    "film": Ration(examples=0.375),
    "object": Ration(examples=0.25),
    "sound": Ration(examples=1.0),
}
"""With ``batch_size=64``, the batches of the single models' recipes: 64 pictures, 24 films, 16 objects, 64 sounds."""


@dataclass(frozen=True, kw_only=True)
class OneModelRecipe(NetworkRecipe):
    """Everything that decides the trained model. Stages of the media end when they end, or where the training does.

    Attributes:
        media: What is learnt from, by name; the mel codec of "sound" is folded by the recipe.
        rations: How much of each.

    Raises:
        ConfigError: A medium has no ration, or the other way round.
    """

    media: Mapping[str, Medium] = field(default_factory=lambda: MEDIA)
    rations: Mapping[str, Ration] = field(default_factory=lambda: RATIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.media.keys() != self.rations.keys():
            raise ConfigError(f"expected a ration of each of {', '.join(self.media)}, got {', '.join(self.rations)}")


ONE_MODEL = OneModelRecipe(
    output_dir=Path("runs/one-model"),
    model=FlagDiTConfig.preset("nano"),
    start_from="image/nano",
    training=replace(
        NANO_TRAINING,
        num_steps=16_000,
        learning_rate=1e-3,
        muon_learning_rate=2e-3,
        warmup_steps=50,
        ema_decay=0.995,
        sample_every=2000,
        checkpoint_every=100,
    ),
    sampled_prompts=24,
)


def one_model(config: OneModelRecipe = ONE_MODEL, *, resume: bool = False) -> Path:
    """Train one network on several modalities and write it as a pipeline folder for each.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished models, one for each modality, or of the checkpoints if the run was stopped before.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    folder, device = config.output_dir / "model", pick_device(config.device)
    check_new_folder(folder)
    torch.set_num_threads(config.num_threads)
    media, encoded = dict(config.media), config.output_dir / "encoded"

    def sample(step: int, model: FlagDiT, text_encoder: TextEncoder | None, folder: Path) -> None:
        assert text_encoder is not None
        for name, medium in media.items():
            (folder / name).mkdir(exist_ok=True)
            made = medium.pipeline(step, model, text_encoder, dtype=torch.float32)
            make_and_verify(made, medium.modality, step, folder / name, prompts=config.sampled_prompts)

    with joined(device) as processes:
        for ration in config.rations.values():
            processes.share(ration.of(config.training.batch_size))  # or refuse before anything is encoded
        if (sound := media.get("sound")) is not None:
            folded = config.output_dir / "sound_codec"
            if processes.is_first:
                folded_codec(sound.codec, folded)
            processes.wait()
            media["sound"] = replace(sound, codec=folded)
        how = {"seed": config.training.seed, "workers": config.workers, "processes": processes}
        model, text_encoder = first_networks(config, caption)
        sources = {name: medium.encoded(encoded / name, **how) for name, medium in media.items()}
        result = train(
            model.to(device),
            text_encoder.to(device),
            Mixture(sources, config.rations),
            config.training,
            config.output_dir,
            resume=resume,
            sample=sample,
        )
    if not result.finished:
        return result.checkpoint
    save_models(result, {folder / medium.modality.name: medium for medium in media.values()})
    return folder


def _few(medium: Medium) -> Medium:
    """The same with a handful of its first kind of media."""
    kind = medium.stages[0].parts[0].kind
    return replace(medium, stages=(Stage(steps=100, parts=(Part(kind=kind, examples=40),)),))


_SMALL = shrunk(ONE_MODEL)

TINY = replace(
    _SMALL,
    output_dir=Path("runs/tiny-one-model"),
    media={name: _few(medium) for name, medium in MEDIA.items()},
    training=replace(_SMALL.training, num_steps=100, batch_size=16, warmup_steps=10, sample_every=50),
    sampled_prompts=6,
)


def tiny(config: OneModelRecipe = TINY, *, resume: bool = False) -> Path:
    """Train a very small network on the four modalities for a moment.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        As :func:`one_model`.
    """
    return one_model(config, resume=resume)
