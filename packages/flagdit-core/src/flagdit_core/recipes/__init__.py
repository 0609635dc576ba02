"""What the training recipes of several modalities share."""

from flagdit_core.recipes.encoded import EncodedWorld, Kind, Part, Shard, Stage, encode_shards, stage_at, wanted_shards
from flagdit_core.recipes.medium import Medium, make_and_verify, save_models
from flagdit_core.recipes.networks import Describe, NetworkRecipe, TextEncoderRecipe, first_networks, shrunk
from flagdit_core.recipes.reward_training import REWARD_TRAINING, RewardTraining
from flagdit_core.recipes.rewards import train_on_rewards
from flagdit_core.recipes.world_model import NANO_TRAINING, WorldRecipe, train_world_model

__all__ = [
    "NANO_TRAINING",
    "REWARD_TRAINING",
    "Describe",
    "EncodedWorld",
    "Kind",
    "Medium",
    "NetworkRecipe",
    "Part",
    "RewardTraining",
    "Shard",
    "Stage",
    "TextEncoderRecipe",
    "WorldRecipe",
    "encode_shards",
    "first_networks",
    "make_and_verify",
    "save_models",
    "shrunk",
    "stage_at",
    "train_on_rewards",
    "train_world_model",
    "wanted_shards",
]
