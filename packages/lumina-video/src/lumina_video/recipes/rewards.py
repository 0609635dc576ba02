"""Train the shipped model further by the verifier's verdicts on what it makes."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import REWARD_TRAINING, RewardTraining, train_on_rewards
from lumina_video.modality import MODALITY
from lumina_video.recipes.nano import NANO

REWARDS = RewardTraining(
    output_dir=Path("runs/film-rewards"),
    sampling=replace(NANO.sampling, num_inference_steps=12, time_shift=2.0, guidance_scale=1.0),
    finished_sampling=replace(NANO.sampling, num_inference_steps=8, time_shift=2.0, guidance_scale=2.0),
    shares={
        "moving": 1.5, "bouncing": 2.0, "resizing": 2.0, "fading": 2.5, "turning": 1.5, "still": 0.5, "two objects": 4.0
    },
    sampled_prompts=98,
    mixing=0.6,
    training=replace(REWARD_TRAINING, num_steps=65, batch_size=120, final_learning_rate_fraction=0.6),
)  # fmt: skip


def rewards(config: RewardTraining = REWARDS, *, resume: bool = False) -> Path:
    """Train a model by the verifier's verdicts and write it as a pipeline folder.

    Args:
        config: The recipe.
        resume: Go on from the latest checkpoint in ``output_dir``.

    Returns:
        The folder of the finished model, or of the checkpoints if the run was stopped before its end.

    Raises:
        ConfigError: Settings contradict one another, or ``output_dir`` holds a run and ``resume`` is not set.
        CheckpointError: There is no such model, or nothing to resume.
        OutputError: ``output_dir`` holds a finished ``model`` already.
    """
    return train_on_rewards(config, MODALITY, resume=resume)
