"""The picture world as evaluation sees it: prompts held out of training, and verdicts."""

from dataclasses import dataclass

import numpy as np

from flagdit_core.scenes import Split, prompts_in_turn
from flagdit_core.shapes import Picture
from flagdit_core.world import Prompt, Verdict
from lumina_image.world.captions import describe
from lumina_image.world.sampling import sample_scene
from lumina_image.world.scene import CATEGORIES
from lumina_image.world.verifier import verify


@dataclass(frozen=True, kw_only=True)
class PictureWorld:
    """An endless source of prompts that :func:`lumina_image.world.verify` can judge; a ``flagdit_core.world.World``.

    Attributes:
        aspect: Width / height of the pictures to be made, so that what a prompt asks for has room in them.
        split: Where the prompts come from; "held_out" has none that occurs in training.
    """

    aspect: float = 1.0
    split: Split = "held_out"

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Prompts in random wording, with one, two and three objects in turn.

        Args:
            count: How many.
            seed: Same seed, same prompts; fewer are the beginning of more.

        Returns:
            ``count`` prompts, each with its category out of ``CATEGORIES``.

        Raises:
            ConfigError: If count is negative, or a setting of the world cannot be used.
        """
        return prompts_in_turn(count, CATEGORIES, self._caption, seed=seed)

    def verify(self, artifact: Picture, prompt: str) -> Verdict:
        """Compare a picture, uint8 RGB (height, width, 3) or a Pillow image, with what a prompt asserts."""
        return verify(artifact, prompt)

    def _caption(self, generator: np.random.Generator, category: str) -> str:
        scene = sample_scene(
            generator, num_objects=1 + CATEGORIES.index(category), aspect=self.aspect, split=self.split
        )
        return describe(scene, generator)
