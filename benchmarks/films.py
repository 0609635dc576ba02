"""A still film, each frame decoded by the shipped VAE and written as it is decoded; a program, to see its memory.

``python -m benchmarks.films FRAMES FILE`` makes one of 128x128, without the network.
"""

import sys
from pathlib import Path

import torch

from lumina_video import Film, save_film
from lumina_video.codec import load_codec
from lumina_video.modality import MODALITY
from lumina_video.pipeline import DecodedFrames

SIDE = 128


def main(num_frames: int, path: Path) -> None:
    """Write the film."""
    codec = load_codec(MODALITY.models["nano"] / "vae")
    torch.manual_seed(0)
    latent = torch.randn(codec.latent_channels, 1, SIDE // 8, SIDE // 8).expand(-1, num_frames, -1, -1)
    save_film(Film(frames=DecodedFrames(codec=codec, latent=latent), fps=8.0), path, {})


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
