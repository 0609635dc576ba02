"""Pictures of several sizes from one model, the same each time, in files that carry their settings."""

from PIL import Image

from lumina_image import ImagePipeline
from lumina_image.artifacts import read_metadata, save_image

PROMPTS = ["a large red circle in the center on a white background", "a blue star left of a yellow cross on black"]
SIZES = ((128, 128), (192, 96), (96, 192), (256, 256))
GAP = 8


def main() -> None:
    """Write eight pictures and one of all, and read back how one of them was made."""
    pipe = ImagePipeline.from_pretrained("nano")
    tallest = max(height for _, height in SIZES)
    sheet = Image.new(
        "RGB", (sum(width + GAP for width, _ in SIZES) - GAP, (tallest + GAP) * len(PROMPTS) - GAP), "gray"
    )
    left = 0
    for width, height in SIZES:
        out = pipe(PROMPTS, width=width, height=height, seed=7)
        for number, image in enumerate(out.images):
            settings = {**out.report.as_dict(), "prompt": PROMPTS[number]}
            save_image(image, f"picture-{width}x{height}-{number}.png", settings)
            sheet.paste(image, (left, (tallest + GAP) * number))
        left += width + GAP
    sheet.save("sizes.png")
    settings = read_metadata("picture-192x96-1.png")
    print(settings["prompt"], settings["seeds"], settings["solver"])  # noqa: T201 - an example prints


if __name__ == "__main__":
    main()
