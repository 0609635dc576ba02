"""Batches of what a pipeline makes of training prompts, and how good each sample is beside the others of its prompt."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import Components, Pipeline
from flagdit_core.pipeline.request import Generated, GenerationRequest
from flagdit_core.recipes.medium import append_rows
from flagdit_core.recipes.reward_training import RewardTraining
from flagdit_core.training import Batch, BatchSource
from flagdit_core.world import Prompt, Verdict, World

Generate = Callable[[Any, GenerationRequest], Generated]
Worlds = Callable[[Pipeline, GenerationRequest], World]
Caption = Callable[[str, Components], str]

_LARGEST_ADVANTAGE = 1.5
"""In standard deviations of a batch's scores; from there on a sample is as good, or as bad, as can be."""
_POOL = 12
"""Times as many prompts as are used are drawn, so that there are enough of any one category; worlds have fewer."""
_COLUMNS = ("step", "category", "passed", "of", "score")


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
