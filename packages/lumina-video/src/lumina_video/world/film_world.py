"""The film world as evaluation sees it: prompts held out of training, and verdicts."""

from dataclasses import dataclass

import numpy as np

from flagdit_core.errors import ConfigError
from flagdit_core.world import Prompt, Verdict
from lumina_video.film import Film, Frames
from lumina_video.world.captions import describe
from lumina_video.world.sampling import Split, sample_scene
from lumina_video.world.verifier import verify
from lumina_video.world.vocabulary import CATEGORIES, TWO_OBJECTS


@dataclass(frozen=True, kw_only=True)
class FilmWorld:
    """An endless source of prompts that :func:`lumina_video.world.verify` can judge; a ``flagdit_core.world.World``.

    Attributes:
        split: Where the prompts come from; "held_out" has none that occurs in training.
    """

    split: Split = "held_out"

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Prompts in random wording, one of each category in turn.

        Args:
            count: How many.
            seed: Same seed, same prompts; fewer are the beginning of more.

        Returns:
            ``count`` prompts, each with its category.

        Raises:
            ConfigError: If count is negative.
        """
        if count < 0:
            raise ConfigError(f"expected a count of 0 or more, got {count}")
        generator, categories = np.random.default_rng(seed), (*CATEGORIES, TWO_OBJECTS)
        prompts = []
        for number in range(count):
            category = categories[number % len(categories)]
            scene = sample_scene(generator, category=category, split=self.split)
            prompts.append(Prompt(text=describe(scene, generator), category=category))
        return prompts

    def verify(self, artifact: Film | Frames, prompt: str) -> Verdict:
        """Compare a film with what a prompt asserts."""
        return verify(artifact, prompt)
