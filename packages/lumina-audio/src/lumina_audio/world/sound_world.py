"""The sound world as evaluation sees it: prompts held out of training, and verdicts."""

from dataclasses import dataclass

import numpy as np

from flagdit_core.scenes import Split, prompts_in_turn
from flagdit_core.world import Prompt, Verdict
from lumina_audio.sound import Sound
from lumina_audio.world.captions import describe
from lumina_audio.world.sampling import sample_scene
from lumina_audio.world.scene import CATEGORIES
from lumina_audio.world.verifier import verify


@dataclass(frozen=True, kw_only=True)
class SoundWorld:
    """An endless source of prompts that :func:`lumina_audio.world.verify` can judge; a ``flagdit_core.world.World``.

    Attributes:
        seconds: Duration of the sounds to be made, so that what a prompt asks for has room in them.
        split: Where the prompts come from; "held_out" has none that occurs in training.
    """

    seconds: float = 3.2
    split: Split = "held_out"

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Prompts in random wording: one sound, sounds in order and spoken words in turn.

        Args:
            count: How many.
            seed: Same seed, same prompts; fewer are the beginning of more.

        Returns:
            ``count`` prompts, each with its category out of ``CATEGORIES``.

        Raises:
            ConfigError: If count is negative, or a setting of the world cannot be used.
        """
        return prompts_in_turn(count, CATEGORIES, self._caption, seed=seed)

    def verify(self, artifact: Sound, prompt: str) -> Verdict:
        """Compare a sound with what a prompt asserts."""
        return verify(artifact, prompt)

    def _caption(self, generator: np.random.Generator, category: str) -> str:
        scene = sample_scene(generator, category=category, seconds=self.seconds, split=self.split)
        return describe(scene, generator)
