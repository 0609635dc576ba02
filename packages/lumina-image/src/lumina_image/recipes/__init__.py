"""Training recipes: plain functions of a frozen configuration, run by ``lumina train MODULE:FUNCTION``."""

from lumina_image.recipes.folder import folder
from lumina_image.recipes.nano import nano
from lumina_image.recipes.rewards import rewards
from lumina_image.recipes.tiny import tiny
from lumina_image.recipes.vae import vae

__all__ = ["folder", "nano", "rewards", "tiny", "vae"]
