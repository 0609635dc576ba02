"""Pictures of several sizes from one model, the same each time, in files that carry their settings."""

from lumina_image import ImagePipeline
from lumina_image.artifacts import read_metadata, save_image

PROMPTS = ["a large red circle in the center on a white background", "a small blue star on a black background"]


def main() -> None:
    """Write six pictures, and read back how one of them was made."""
    pipe = ImagePipeline.from_pretrained("nano")
    for width, height in ((128, 128), (160, 96), (96, 160)):
        out = pipe(PROMPTS, width=width, height=height, seed=7, num_inference_steps=12)
        for number, image in enumerate(out.images):
            settings = {**out.report.as_dict(), "prompt": PROMPTS[number]}
            save_image(image, f"picture-{width}x{height}-{number}.png", settings)
    settings = read_metadata("picture-160x96-1.png")
    print(settings["prompt"], settings["seeds"], settings["solver"])  # noqa: T201 - an example prints


if __name__ == "__main__":
    main()
