"""The four modalities as one network reads them: worlds, codecs and curricula."""

from pathlib import Path

import numpy as np

from flagdit_core.output import atomic_folder
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.recipes import Medium
from lumina_3d.modality import MODALITY as OBJECT
from lumina_3d.recipes.nano import caption as object_caption
from lumina_3d.recipes.views import encode_views, views_stage
from lumina_audio.mel_codec import MelCodec
from lumina_audio.modality import MODALITY as SOUND
from lumina_audio.recipes.nano import caption as sound_caption
from lumina_audio.recipes.sounds import encode_sounds, sound_stage
from lumina_image.modality import MODALITY as PICTURE
from lumina_image.recipes.nano import caption as picture_caption
from lumina_image.recipes.pictures import encode_pictures, picture_stage
from lumina_video.modality import MODALITY as FILM
from lumina_video.recipes.films import encode_films, film_stage
from lumina_video.recipes.nano import caption as film_caption

SOUND_ROWS = 2
"""Of a sound's latent: 16 channels become 8 and two rows, and patches of 2 x 2 then hold 32 values, like pictures'."""

SAMPLING = SamplingSettings(num_inference_steps=24, guidance_scale=4.0)

_ALONE = 6000
"""Updates with one object, or one sound; after them comes everything, as in the single models' recipes."""
_TOGETHER = 10_000


_PICTURES = {1: 12_000, 2: 18_000, 3: 9000}
_SQUARE = {(128, 128): 1.0}
_FILMS = {
    "moving": 1000,
    "bouncing": 1000,
    "resizing": 1000,
    "fading": 1000,
    "turning": 3000,
    "still": 1000,
    "two objects": 6000,
}
_FILMS_ALONE = {"moving": 1.0, "bouncing": 0.6, "resizing": 0.7, "fading": 0.6, "turning": 0.7, "still": 0.4}
_OBJECTS = {"one object": 1500, "one on another": 3000, "side by side": 3000}

MEDIA = {
    "picture": Medium(
        modality=PICTURE,
        encode=encode_pictures,
        codec=PICTURE.models["nano"] / "vae",
        stages=(
            picture_stage(steps=_ALONE, pictures=_PICTURES, sizes=_SQUARE, shares={1: 1.0}),
            picture_stage(steps=_TOGETHER, pictures=_PICTURES, sizes=_SQUARE, shares={1: 0.38, 2: 0.45, 3: 0.17}),
        ),
        sampling=SAMPLING.replace(training_shape=(1, 16, 16)),
    ),
    "film": Medium(
        modality=FILM,
        encode=encode_films,
        codec=FILM.models["nano"] / "vae",
        stages=(
            film_stage(steps=_ALONE, films=_FILMS, shares=_FILMS_ALONE),
            film_stage(steps=_TOGETHER, films=_FILMS, shares=_FILMS_ALONE | {"two objects": 2.0}),
        ),
        sampling=SAMPLING.replace(training_shape=(8, 8, 8)),
    ),
    "object": Medium(
        modality=OBJECT,
        encode=encode_views,
        codec=OBJECT.models["nano"] / "vae",
        stages=(
            views_stage(steps=_ALONE, objects=_OBJECTS, shares={"one object": 1.0}),
            views_stage(
                steps=_TOGETHER,
                objects=_OBJECTS,
                shares={"one object": 0.2, "one on another": 0.4, "side by side": 0.4},
            ),
        ),
        sampling=SAMPLING.replace(training_shape=(12, 8, 8)),
    ),
    "sound": Medium(
        modality=SOUND,
        encode=encode_sounds,
        codec=SOUND.models["nano"] / "vae",
        stages=(
            sound_stage(steps=_ALONE, sounds=6000, seconds=3.2, categories={"one sound": 1.0}),
            sound_stage(
                steps=_TOGETHER,
                sounds=6000,
                seconds=3.2,
                categories={"one sound": 0.2, "sounds in order": 0.4, "spoken words": 0.4},
            ),
        ),
        sampling=SAMPLING.replace(training_shape=(1, SOUND_ROWS, 50)),
    ),
}

_CAPTIONS = (picture_caption, film_caption, object_caption, sound_caption)


def caption(generator: np.random.Generator) -> str:
    """A caption of one of the four worlds.

    Args:
        generator: Picks the world, the scene and the words.

    Returns:
        What a random picture, film, object or sound is.
    """
    return _CAPTIONS[generator.integers(len(_CAPTIONS))](generator)


def folded_codec(source: Path, folder: Path) -> Path:
    """A mel codec whose latents have the rows that the network reads, with the same weights.

    Args:
        source: Folder of a mel codec.
        folder: Where it goes; one that is there is taken as it is.

    Returns:
        The folder.
    """
    if not folder.exists():
        codec = MelCodec.from_pretrained(source)
        with atomic_folder(folder) as temporary:
            MelCodec(codec.vae, codec.vocoder, latent_rows=SOUND_ROWS).save_pretrained(temporary)
    return folder
