"""Further training of a pipeline by what its world's verifier says of what it makes."""

from dataclasses import replace
from pathlib import Path

import torch

from flagdit_core.devices import pick_device
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality, load_object
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import check_new_folder
from flagdit_core.pipeline import Components, Pipeline
from flagdit_core.pipeline.request import GenerationRequest
from flagdit_core.pipeline.source import resolve_model
from flagdit_core.recipes.encoded import Encode
from flagdit_core.recipes.judged_samples import Caption, Generate, JudgedSamples, Worlds
from flagdit_core.recipes.medium import Medium, make_and_verify
from flagdit_core.recipes.reward_training import RewardTraining
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import Rollouts, train
from flagdit_core.world import World


def _as_it_stands(text: str, components: Components) -> str:
    return text


def train_on_rewards(
    config: RewardTraining,
    modality: Modality,
    *,
    worlds: Worlds | None = None,
    generate: Generate | None = None,
    caption: Caption = _as_it_stands,
    encode: Encode | None = None,
    resume: bool = False,
) -> Path:
    """Train a pipeline by its world's verdicts and write it as a model folder, in bfloat16.

    In every step the averaged weights make ``group_size`` samples of each prompt, the world judges them, and the
    network learns from those that differ within a group (DiffusionNFT, arXiv 2509.16117). A reward is the score's
    advantage over the group's mean, in standard deviations of the batch's scores; a score is the share of the checks
    that passed, and as much again if all did. Examples of the world, if wanted, are learnt from beside them.

    Args:
        config: The recipe. Equal settings give equal weights on the same machine, interrupted or not.
        modality: Whose pipeline and world are used.
        worlds: Another world than the modality's, such as one whose ``verify`` is a learnt judge's.
        generate: Another way than the modality's to make samples, that gives their latents.
        caption: A prompt as the text encoder gets it, for modalities whose pipelines change prompts.
        encode: Makes the recipe's examples, with captions as the text encoder gets them.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        CheckpointError: There is no such model, or nothing to resume.
        BackendUnavailableError: The device is not there.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    folder = config.output_dir / "model"
    check_new_folder(folder)
    torch.set_num_threads(config.num_threads)
    pipeline_class: type[Pipeline] = load_object(modality.pipeline)
    model = resolve_model(config.model, modality.models)
    pipeline = pipeline_class.from_pretrained(model, device=pick_device(config.device))
    pipeline = pipeline_class(replace(pipeline.components, sampling=config.finished_sampling or config.sampling))
    parts = pipeline.components
    parts.text_encoder.requires_grad_(True)
    examples = None
    if config.num_examples:
        if encode is None:
            raise ConfigError("num_examples needs a way to encode them: set it to 0, or give encode")
        medium = Medium(
            modality=modality,
            encode=encode,
            codec=model / "vae",
            stages=config.examples,
            sampling=config.sampling,
        )
        examples = medium.encoded(config.output_dir / "encoded", seed=config.training.seed, workers=config.workers)
    rollouts = JudgedSamples(
        pipeline,
        config,
        examples=examples,
        worlds=training_worlds(modality) if worlds is None else worlds,
        generate=load_object(modality.generate) if generate is None else generate,
        caption=caption,
    )

    def sample(step: int, model: FlagDiT, text_encoder: TextEncoder | None, folder: Path) -> None:
        make_and_verify(pipeline, modality, step, folder, prompts=config.sampled_prompts)

    result = train(
        parts.model,
        parts.text_encoder,
        Rollouts(source=rollouts),
        config.training,
        config.output_dir,
        resume=resume,
        sample=sample,
    )
    if not result.finished:
        return result.checkpoint
    with result.ema.applied():
        if config.mixing < 1:
            _mix(parts, pipeline_class.from_pretrained(model).components, config.mixing)
        pipeline.to(torch.bfloat16).save_pretrained(folder)
    return folder


@torch.no_grad()
def _mix(trained: Components, start: Components, share: float) -> None:
    """Put the mean of both into the trained networks."""
    for network, before in ((trained.model, start.model), (trained.text_encoder, start.text_encoder)):
        for weight, first in zip(network.parameters(), before.parameters(), strict=True):
            weight.copy_(torch.lerp(first.to(weight), weight, share))


def training_worlds(modality: Modality) -> Worlds:
    """The modality's worlds, with prompts of what training may see.

    Args:
        modality: One that has a world.

    Returns:
        For a pipeline and a request, the world whose ``split`` is "train".
    """

    def world(pipeline: Pipeline, request: GenerationRequest) -> World:
        assert modality.world is not None
        held_out = load_object(modality.world)(pipeline, request)
        of_training: World = replace(held_out, split="train")
        return of_training

    return world
