"""The film world as evaluation sees it: prompts held out of training, and verdicts."""

from dataclasses import dataclass

import numpy as np

from flagdit_core.scenes import Split, prompts_in_turn
from flagdit_core.world import Prompt, Verdict
from lumina_video.film import Film, Frames
from lumina_video.world.captions import describe
from lumina_video.world.sampling import sample_scene
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
        return prompts_in_turn(count, (*CATEGORIES, TWO_OBJECTS), self._caption, seed=seed)

    def verify(self, artifact: Film | Frames, prompt: str) -> Verdict:
        """Compare a film with what a prompt asserts."""
        return verify(artifact, prompt)

    def _caption(self, generator: np.random.Generator, category: str) -> str:
        scene = sample_scene(generator, category=category, split=self.split)
        return describe(scene, generator)
