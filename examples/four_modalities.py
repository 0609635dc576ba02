"""The picture at the top of the README: a picture, a film, an object and a sound, each from a sentence."""

import numpy as np
from PIL import Image

from lumina_3d import ObjectPipeline, save_object
from lumina_3d.turntable import turntable
from lumina_audio import AudioPipeline, save_sound
from lumina_audio.spectrogram import draw_spectrogram
from lumina_image import ImagePipeline
from lumina_video import VideoPipeline, save_film

SIDE, GAP, COLUMNS = 128, 8, 8
PICTURES = (
    "a large yellow star at the bottom on a green background",
    "a large cyan ring in the top right corner on a pink background",
    "a red square left of a yellow circle on a blue background",
    "a large pink square right of a small blue circle on a yellow background",
)
FILM = "a blue plus sign bounces from side to side and a purple heart moves from right to left with a black background"
OBJECT = "a large yellow cone on a large red cube"
SOUND = "three short high beeps, then a low bell"


def rows() -> list[list[Image.Image]]:
    """Rows of pictures of equal height: four pictures, a film, an object turning, a sound."""
    pictures = ImagePipeline.from_pretrained("nano")(PICTURES, seed=2).images

    film = VideoPipeline.from_pretrained("nano")(FILM, seed=13)
    save_film(film.films[0], "film.mp4", film.report.as_dict())
    frames = [Image.fromarray(frame) for frame in film.films[0].to_numpy()]

    views = ObjectPipeline.from_pretrained("nano")(OBJECT, seed=0)
    item = views.objects()[0]
    save_object(item, "object.glb", views.report.as_dict())
    turning = [Image.fromarray(frame) for frame in turntable(item, frames=COLUMNS, size=SIDE)]

    sound = AudioPipeline.from_pretrained("nano")(SOUND, seed=0)
    save_sound(sound.audios[0], "sound.wav", sound.report.as_dict())
    spectrogram = draw_spectrogram(sound.audios[0])
    return [pictures, frames, turning, [spectrogram]]


def main() -> None:
    """Write film.mp4, object.glb, sound.wav, and four.png, which shows all."""
    width = COLUMNS * (SIDE + GAP) - GAP
    bands = []
    for row in rows():
        side = (width + GAP) // len(row) - GAP
        height = side * row[0].height // row[0].width
        band = np.full((height + GAP, width, 3), 255, np.uint8)
        for number, picture in enumerate(row):
            left = number * (side + GAP)
            band[:height, left : left + side] = np.asarray(picture.convert("RGB").resize((side, height)))
        bands.append(band)
    Image.fromarray(np.concatenate(bands)).save("four.png")


if __name__ == "__main__":
    main()
