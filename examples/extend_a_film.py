"""A film, a longer one, one between two pictures, and one sentence that becomes another."""

from PIL import Image

from lumina_video import VideoPipeline, join, read_film, save_film
from lumina_video.contact_sheet import save_contact_sheet
from lumina_video.world import draw, parse
from lumina_video.world.scene import Actor, Scene

RIGHT = "a large red circle moves from left to right on a white background"
LEFT = "a large red circle moves from right to left on a white background"
BLUE = "a large blue circle moves from right to left on a white background"


def picture(x: float) -> Image.Image:
    """A red circle that far from the left."""
    actor = Actor(shape="circle", color="red", radius=0.28, x=x, y=0.5, motion="stays still")
    scene = Scene(background="white", actors=(actor,), claims=parse("a red circle stays still"))
    return Image.fromarray(draw(scene, 2, 64, 64)[0])


def main() -> None:
    """Write four films, and all their frames in one picture."""
    pipe = VideoPipeline.from_pretrained("nano")
    made = pipe(RIGHT, seed=7, num_inference_steps=12)
    save_film(made.films[0], "film.mp4", made.report.as_dict())
    film = read_film("film.mp4")

    more = pipe(LEFT, video=film, overlap=2, seed=7, num_inference_steps=12)
    save_film(join(film, more.films[0], overlap=2), "longer.mp4", more.report.as_dict())

    between = pipe(RIGHT, image=picture(0.35), last_image=picture(0.65), seed=7, num_inference_steps=12)
    save_film(between.films[0], "between.webm", between.report.as_dict())

    becoming = pipe(LEFT, next_prompt=BLUE, num_frames=12, seed=7, num_inference_steps=12)
    save_film(becoming.films[0], "becoming.gif", becoming.report.as_dict())

    names = ("film.mp4", "longer.mp4", "between.webm", "becoming.gif")
    save_contact_sheet([read_film(name) for name in names], "films.png")


if __name__ == "__main__":
    main()
