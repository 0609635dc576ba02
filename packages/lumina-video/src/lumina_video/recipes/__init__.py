"""Training recipes: plain functions of a frozen configuration, run by ``lumina train MODULE:FUNCTION``."""

from lumina_video.recipes.folder import folder
from lumina_video.recipes.nano import nano
from lumina_video.recipes.rewards import rewards
from lumina_video.recipes.tiny import tiny
from lumina_video.recipes.vae import vae

__all__ = ["folder", "nano", "rewards", "tiny", "vae"]
