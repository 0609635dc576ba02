"""What the training recipes of several modalities share."""

from flagdit_core.recipes.encoded import EncodedWorld, Kind, Part, Shard, Stage, encode_shards, stage_at, wanted_shards
from flagdit_core.recipes.world_model import NANO_TRAINING, TextEncoderRecipe, WorldRecipe, shrunk, train_world_model

__all__ = [
    "NANO_TRAINING",
    "EncodedWorld",
    "Kind",
    "Part",
    "Shard",
    "Stage",
    "TextEncoderRecipe",
    "WorldRecipe",
    "encode_shards",
    "shrunk",
    "stage_at",
    "train_world_model",
    "wanted_shards",
]
