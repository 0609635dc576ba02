"""Train the shipped model further by the verifier's verdicts on what it makes."""

from dataclasses import replace
from pathlib import Path

from flagdit_core.pipeline import Components
from flagdit_core.recipes import REWARD_TRAINING, RewardTraining, train_on_rewards
from lumina_audio.modality import MODALITY
from lumina_audio.phonemes import model_spelling, spell
from lumina_audio.recipes.nano import NANO

REWARDS = RewardTraining(
    output_dir=Path("runs/sound-rewards"),
    sampling=replace(NANO.sampling, num_inference_steps=10),
    shares={"one sound": 1.0, "sounds in order": 3.0, "spoken words": 1.0},
    training=replace(REWARD_TRAINING, num_steps=150),
    sampled_prompts=48,
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
    return train_on_rewards(config, MODALITY, caption=_spelled, resume=resume)


def _spelled(text: str, components: Components) -> str:
    """A prompt in the model's spelling."""
    return spell(text, model_spelling(components.defaults))
