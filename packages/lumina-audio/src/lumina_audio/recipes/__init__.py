"""Training recipes: plain functions of a frozen configuration, run by ``lumina train MODULE:FUNCTION``."""

from lumina_audio.recipes.folder import folder
from lumina_audio.recipes.mel_vae import mel_vae
from lumina_audio.recipes.nano import nano, phonemes
from lumina_audio.recipes.tiny import tiny

__all__ = ["folder", "mel_vae", "nano", "phonemes", "tiny"]
