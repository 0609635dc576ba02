"""The object world as evaluation sees it: prompts held out of training, and verdicts."""

from dataclasses import dataclass

import numpy as np

from flagdit_core.scenes import Split, prompts_in_turn
from flagdit_core.world import Check, Prompt, Verdict
from lumina_3d.reprojection import LEAST_AGREEMENT, consistency
from lumina_3d.views import Object3D, Views
from lumina_3d.world.captions import describe
from lumina_3d.world.mesh_verifier import verify_mesh
from lumina_3d.world.sampling import sample_scene
from lumina_3d.world.scene import CATEGORIES
from lumina_3d.world.verifier import verify


@dataclass(frozen=True, kw_only=True)
class ObjectWorld:
    """An endless source of prompts that the verifiers can judge; a ``flagdit_core.world.World``.

    Attributes:
        split: Where the prompts come from; "held_out" has none that occurs in training.
    """

    split: Split = "held_out"

    def prompts(self, count: int, *, seed: int) -> list[Prompt]:
        """Prompts in random wording, with one object, one on another and two side by side in turn.

        Args:
            count: How many.
            seed: Same seed, same prompts; fewer are the beginning of more.

        Returns:
            ``count`` prompts, each with its category out of ``CATEGORIES``.

        Raises:
            ConfigError: If count is negative.
        """
        return prompts_in_turn(count, CATEGORIES, self._caption, seed=seed)

    def verify(self, artifact: Views | Object3D, prompt: str) -> Verdict:
        """Compare views, or an object's views and its mesh, with what a prompt asserts and with each other."""
        if isinstance(artifact, Views):
            return verify(artifact, prompt)
        from_views, from_mesh = verify(artifact.views, prompt), verify_mesh(artifact.mesh, prompt)
        agreement = consistency(artifact.views, artifact.mesh).mean_silhouette_iou
        agree = Check(
            kind="views agree",
            expected=f"{LEAST_AGREEMENT:.0%}",
            found=f"{agreement:.0%}",
            passed=agreement >= LEAST_AGREEMENT,
        )
        return Verdict(checks=(*from_views.checks, *from_mesh.checks, agree), measures=from_mesh.measures)

    def _caption(self, generator: np.random.Generator, category: str) -> str:
        scene = sample_scene(generator, category=category, split=self.split)
        return describe(scene, generator)
