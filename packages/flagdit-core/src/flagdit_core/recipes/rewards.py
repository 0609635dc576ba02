"""Further training of a pipeline by what its world's verifier says of what it makes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flagdit_core.devices import pick_device
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality, load_object
from flagdit_core.model.flag_dit import FlagDiT
from flagdit_core.output import check_new_folder
from flagdit_core.pipeline import Components, Pipeline, SamplingSettings
from flagdit_core.pipeline.request import Generated, GenerationRequest
from flagdit_core.pipeline.source import resolve_model
from flagdit_core.recipes.encoded import Encode, Stage
from flagdit_core.recipes.medium import Medium, append_rows, make_and_verify
from flagdit_core.recipes.world_model import NANO_TRAINING
from flagdit_core.text_encoder import TextEncoder
from flagdit_core.training import Batch, BatchSource, Rollouts, TrainingConfig, train
from flagdit_core.world import Prompt, Verdict, World

Generate = Callable[[Any, GenerationRequest], Generated]
Worlds = Callable[[Pipeline, GenerationRequest], World]
Caption = Callable[[str, Components], str]

REWARD_TRAINING = replace(
    NANO_TRAINING,
    batch_size=96,
    updates_per_batch=4,
    learning_rate=1e-4,
    muon_learning_rate=2e-4,
    warmup_steps=5,
    ema_decay=0.5,
    prefetch_batches=0,
    log_every=5,
    sample_every=25,
    checkpoint_every=5,
)
"""For small models on CPUs; a recipe says at least how many steps it takes."""

_LARGEST_ADVANTAGE = 1.5
"""In standard deviations of a batch's scores; from there on a sample is as good, or as bad, as can be."""
_POOL = 12
"""Times as many prompts as are used are drawn, so that there are enough of any one category; worlds have fewer."""
_COLUMNS = ("step", "category", "passed", "of", "score")


@dataclass(frozen=True, kw_only=True)
class RewardTraining:
    """Everything that decides the trained model.

    Attributes:
        output_dir: Receives checkpoints, scalars, samples, ``rollouts.csv`` and the finished ``model`` folder.
        model: Pipeline to start from: "nano", a folder, or a hub id. Its text encoder is trained too.
        sampling: How the samples that are judged are made.
        finished_sampling: How the finished model samples unless told otherwise, here and in held-out samples; None for
            as the judged ones. Little guidance leaves more to be learnt, and more of it then still helps.
        sizes: (width, height) of the samples, one for each step in turn; None for the model's own.
        group_size: Samples of each prompt, whose scores are compared.
        shares: Category of prompts to its share; those that are not named have none. Empty for all alike.
        examples: Curriculum over media of the world, to hold on to while learning from samples.
        num_examples: Of these in each step, beside the samples; each is as good as can be.
        workers: Processes that encode them.
        mixing: Share of the trained weights in the finished ones; the others are those of ``model``. The mean of both
            keeps more of what only ``model`` can do (WiSE-FT, arXiv 2109.01903) and less of the verdicts' noise.
        device: Where to train, such as "cpu" or "cuda:1"; by default a GPU if there is one.
        num_threads: CPU threads of the training.
        sampled_prompts: Held-out prompts made and verified at every sample.
        training: Optimiser, schedule, times and logging; a batch is ``batch_size / group_size`` prompts, and
            ``ema_decay`` that of the weights that make the samples.

    Raises:
        ConfigError: A number is out of its range, there are no examples, or the network would not predict velocities.
    """

    output_dir: Path
    model: str = "nano"
    sampling: SamplingSettings
    finished_sampling: SamplingSettings | None = None
    sizes: tuple[tuple[int, int] | None, ...] = (None,)
    group_size: int = 6
    shares: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[Stage, ...] = ()
    num_examples: int = 0
    workers: int = 2
    mixing: float = 1.0
    device: str | None = None
    num_threads: int = 1
    sampled_prompts: int = 64
    training: TrainingConfig

    def __post_init__(self) -> None:
        self.training.check_for_pipelines()
        if self.group_size < 2 or self.training.batch_size % self.group_size:
            raise ConfigError(
                "expected a group_size of 2 or more that divides training.batch_size, "
                f"got {self.group_size} and {self.training.batch_size}"
            )
        if not self.sizes:
            raise ConfigError("expected at least one of sizes, which may be None for the model's own")
        if self.num_examples < 0 or (self.num_examples and not self.examples):
            raise ConfigError(f"expected num_examples of 0, or more of some examples, got {self.num_examples}")
        if not 0 < self.mixing <= 1:
            raise ConfigError(f"expected mixing in (0, 1], got {self.mixing}")


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


class JudgedSamples:
    """Batches of what a pipeline makes of training prompts, with rewards; a ``flagdit_core.training`` batch source.

    Args:
        pipeline: Makes the samples.
        config: Of the run, in whose folder ``rollouts.csv`` goes.
        examples: What is right, for ``num_examples`` of a batch.
        worlds: Gives the world for a request.
        generate: Makes what a request asks for.
        caption: A prompt as the text encoder gets it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        config: RewardTraining,
        *,
        examples: BatchSource | None = None,
        worlds: Worlds,
        generate: Generate,
        caption: Caption,
    ) -> None:
        self._pipeline, self._config, self._examples = pipeline, config, examples
        self._generate, self._caption = generate, caption
        requests = [
            GenerationRequest(prompts=(), settings=config.sampling, size=size, progress=False) for size in config.sizes
        ]
        self._kinds = [(request, worlds(pipeline, request)) for request in requests]

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """The samples of a step whose groups are not all alike, or all samples if every group is; and the examples.

        Args:
            step: Steps made before this one.
            batch_size: Samples that are made.
            seed: Of prompts and noise.

        Returns:
            Latents (B, C, ...) float32, captions and rewards.

        Raises:
            ConfigError: The world has no such categories, or the modality does not give the latents of what it makes.
        """
        config, parts = self._config, self._pipeline.components
        generator = np.random.default_rng((seed, step))
        request, world = self._kinds[step % len(self._kinds)]
        prompts = self._prompts(world, batch_size // config.group_size, generator)
        repeated = [prompt for prompt in prompts for _ in range(config.group_size)]
        seeds = generator.integers(2**31, size=len(repeated)).tolist()
        half = config.training.precision == "bfloat16"
        with torch.autocast(parts.model.device.type, dtype=torch.bfloat16, enabled=half):
            made = self._generate(
                self._pipeline, replace(request, prompts=[prompt.text for prompt in repeated], seeds=seeds)
            )
        if made.latents is None:
            raise ConfigError("expected a modality whose generate gives the latents of what it makes")
        pairs = zip(made.artifacts, repeated, strict=True)
        verdicts = [world.verify(artifact, prompt.text) for artifact, prompt in pairs]
        scores = np.array([score(verdict) for verdict in verdicts]).reshape(len(prompts), -1)
        self._log(step, repeated, verdicts, scores.reshape(-1))
        chosen = np.flatnonzero(np.repeat(np.ptp(scores, axis=1) > 0, config.group_size))
        kept = torch.from_numpy(chosen if len(chosen) else np.arange(len(repeated)))
        rewards = torch.from_numpy(group_rewards(scores).reshape(-1))
        samples = Batch(
            latents=made.latents[kept.to(made.latents.device)],
            captions=[self._caption(repeated[number].text, parts) for number in kept.tolist()],
            rewards=rewards[kept].float(),
        )
        if self._examples is None:
            return samples
        right = self._examples.batch(step, batch_size=config.num_examples, seed=seed)
        return _joined(samples, replace(right, rewards=torch.ones(len(right.latents))))

    def _prompts(self, world: World, count: int, generator: np.random.Generator) -> list[Prompt]:
        """Prompts whose categories have the recipe's shares."""
        pool = world.prompts(_POOL * count, seed=int(generator.integers(2**31)))
        shares = self._config.shares or {prompt.category: 1.0 for prompt in pool}
        if unknown := set(shares) - {prompt.category for prompt in pool}:
            raise ConfigError(f"no prompt of this world is of the categories {', '.join(sorted(unknown))} in shares")
        weights = np.array([shares.get(prompt.category, 0.0) for prompt in pool])
        chosen = generator.choice(len(pool), size=count, replace=False, p=weights / weights.sum())
        return [pool[number] for number in chosen.tolist()]

    def _log(
        self, step: int, prompts: Sequence[Prompt], verdicts: Sequence[Verdict], scores: NDArray[np.float64]
    ) -> None:
        """A row for each category."""
        rows = []
        for name in dict.fromkeys(prompt.category for prompt in prompts):
            own = [number for number, prompt in enumerate(prompts) if prompt.category == name]
            passed = sum(verdicts[number].passed for number in own)
            rows.append([name, str(passed), str(len(own)), f"{scores[own].mean():.4f}"])
        append_rows(self._config.output_dir / "rollouts.csv", _COLUMNS, step, rows)


def _joined(*batches: Batch) -> Batch:
    """One batch of captioned latents of any shapes, with rewards."""
    latents = [latent.cpu() for batch in batches for latent in batch.latents]
    return Batch(
        latents=torch.stack(latents) if len({latent.shape for latent in latents}) == 1 else latents,
        captions=[caption for batch in batches for caption in cast(list[str], batch.captions)],
        rewards=torch.cat([cast(Tensor, batch.rewards) for batch in batches]),
    )


def score(verdict: Verdict) -> float:
    """How good a sample is: half the share of its checks that passed, and a half if all did; in [0, 1]."""
    share = sum(check.passed for check in verdict.checks) / max(1, len(verdict.checks))
    return 0.5 * share + 0.5 * verdict.passed


def group_rewards(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rewards for samples of equal prompts.

    Args:
        scores: (groups, samples of each).

    Returns:
        The same shape, in [0, 1]: 1/2 for its group's mean score, 0 and 1 from 1.5 standard deviations of all on.

    Example:
        >>> group_rewards(np.array([[0.0, 1.0], [1.0, 1.0]])).round(2)
        array([[0.12, 0.88],
               [0.5 , 0.5 ]])
    """
    advantages = scores - scores.mean(axis=1, keepdims=True)
    deviation = max(float(scores.std()), 1e-6)
    return np.clip(0.5 + advantages / (2 * _LARGEST_ADVANTAGE * deviation), 0.0, 1.0)
