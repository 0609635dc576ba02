"""Training recipes: plain functions of a frozen configuration, run by ``lumina train MODULE:FUNCTION``."""

from lumina_audio.recipes.mel_vae import mel_vae
from lumina_audio.recipes.nano import nano

__all__ = ["mel_vae", "nano"]
