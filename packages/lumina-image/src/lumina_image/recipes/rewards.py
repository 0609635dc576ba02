"""Train the shipped model further by the verifier's verdicts on what it makes."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.recipes import REWARD_TRAINING, RewardTraining, train_on_rewards
from lumina_image.modality import MODALITY
from lumina_image.recipes.nano import NANO
from lumina_image.recipes.pictures import encode_pictures, picture_stage

_TEN_STEPS = replace(NANO.sampling, num_inference_steps=10)

REWARDS = RewardTraining(
    output_dir=Path("runs/rewards"),
    sampling=replace(_TEN_STEPS, guidance_scale=1.0),
    finished_sampling=replace(_TEN_STEPS, guidance_scale=2.0),
    sizes=((128, 128), (192, 96), (128, 128), (96, 192)),
    shares={"one object": 1.5, "two objects": 3.0, "three objects": 3.5},
    examples=(
        picture_stage(
            steps=130,
            pictures={1: 1000, 2: 1500, 3: 2000},
            sizes={(128, 128): 1.0},
            shares={1: 0.24, 2: 0.36, 3: 0.4},
        ),
    ),
    num_examples=0,  # they go with a guidance of 4
    mixing=0.75,
    training=replace(
        REWARD_TRAINING,
        num_steps=130,
        batch_size=144,
        learning_rate=2e-4,
        muon_learning_rate=4e-4,
        final_learning_rate_fraction=0.75,
    ),
)


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
    return train_on_rewards(config, MODALITY, encode=encode_pictures, resume=resume)
