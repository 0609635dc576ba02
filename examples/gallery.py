"""The pictures in lumina-image's README: the first held-out captions of one object, and how many are right."""

from flagdit_core.contact_sheet import save_contact_sheet
from lumina_image import ImagePipeline
from lumina_image.world import PictureWorld, verify

COUNT = 16


def main() -> None:
    """Write gallery.png, and print the captions in its order."""
    prompts = [prompt.text for prompt in PictureWorld().prompts(3 * COUNT, seed=0) if prompt.category == "one object"]
    images = ImagePipeline.from_pretrained("nano")(prompts, seed=0).images
    save_contact_sheet(images, "gallery.png")
    verdicts = [verify(image, prompt) for image, prompt in zip(images, prompts, strict=True)]
    for prompt, verdict in zip(prompts, verdicts, strict=True):
        wrong = ", ".join(f"{check.kind} {check.found}" for check in verdict.checks if not check.passed)
        print(f"{prompt}: {'right' if verdict.passed else wrong}")  # noqa: T201 - an example prints
    print(f"{sum(verdict.passed for verdict in verdicts)} of {len(prompts)} right")  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
