"""Training recipes: plain functions of a frozen configuration, run by ``lumina train MODULE:FUNCTION``."""

from lumina_3d.recipes.folder import folder
from lumina_3d.recipes.nano import nano
from lumina_3d.recipes.tiny import tiny
from lumina_3d.recipes.vae import vae

__all__ = ["folder", "nano", "tiny", "vae"]
