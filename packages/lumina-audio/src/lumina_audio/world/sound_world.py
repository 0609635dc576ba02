"""The sound world as evaluation sees it: prompts held out of training, and verdicts."""

from dataclasses import dataclass

import numpy as np

from flagdit_core.errors import ConfigError
from flagdit_core.world import Prompt, Verdict
from lumina_audio.sound import Sound
from lumina_audio.world.captions import describe
from lumina_audio.world.sampling import Split, sample_scene
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
        if count < 0:
            raise ConfigError(f"expected a count of 0 or more, got {count}")
        generator = np.random.default_rng(seed)
        prompts = []
        for number in range(count):
            category = CATEGORIES[number % len(CATEGORIES)]
            scene = sample_scene(generator, category=category, seconds=self.seconds, split=self.split)
            prompts.append(Prompt(text=describe(scene, generator), category=category))
        return prompts

    def verify(self, artifact: Sound, prompt: str) -> Verdict:
        """Compare a sound with what a prompt asserts."""
        return verify(artifact, prompt)
