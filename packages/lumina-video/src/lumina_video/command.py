"""What the ``lumina`` command asks of films."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flagdit_core.errors import ConfigError
from flagdit_core.film_files import check_film_file
from flagdit_core.metadata import fingerprints
from flagdit_core.picture_files import read_picture
from flagdit_core.pipeline.arguments import check_frame_size
from flagdit_core.pipeline.request import Generated, GenerationRequest
from lumina_video.contact_sheet import save_contact_sheet
from lumina_video.film import join
from lumina_video.pipeline import VideoPipeline
from lumina_video.reading import has_sound, read_film

if TYPE_CHECKING:
    from lumina_video.world import FilmWorld

_MOST_FRAMES = 2**31


def generate(pipeline: VideoPipeline, request: GenerationRequest) -> Generated:
    """The films that a command asks for.

    Args:
        pipeline: The model.
        request: What to make.

    Returns:
        The films with their metadata.

    Raises:
        FlagDiTError: As :meth:`VideoPipeline.__call__`; and what a file format cannot hold, or a file that is no
            picture or film.
    """
    options, (width, height) = request.options, request.size or (None, None)
    extended = read_film(options["extend"]) if "extend" in options else None
    fps = options.get("fps", pipeline.components.defaults.get("fps") if extended is None else extended.fps)
    if request.size is not None:
        check_frame_size(pipeline.components, height=height, width=width)
    for path in request.paths:
        check_film_file(path, width=width or 2, height=height or 2, fps=1.0 if fps is None else fps)
    sheet = request.extra_file("contact-sheet", (".png",))
    output = pipeline(
        request.prompts,
        negative_prompt=request.negative_prompt,
        next_prompt=options.get("next-prompt"),
        image=read_picture(options["first-frame"]) if "first-frame" in options else None,
        last_image=read_picture(options["last-frame"]) if "last-frame" in options else None,
        video=extended,
        overlap=options.get("overlap"),
        width=width,
        height=height,
        num_frames=_num_frames(options, fps),
        fps=fps,
        num_videos_per_prompt=request.count,
        first_video_index=request.first,
        seed=request.seeds,
        strict=request.strict,
        progress=request.progress,
        settings=request.settings,
    )
    given = {name: options[name] for name in ("first-frame", "last-frame", "extend") if name in options}
    output.report.record(given_files=fingerprints(given))
    films = output.films
    if extended is not None:
        if has_sound(given["extend"]):
            output.report.deviation(f"{given['extend']} has sound, which is left out")
        overlap = output.report.settings["given_frames"]["first"]
        films = [join(extended, film, overlap=overlap) for film in films]
    if sheet is not None:
        save_contact_sheet(films, sheet, {**output.report.as_dict(), **request.source})
    return Generated.of(films, output.report, latents=output.latents)


def world(pipeline: VideoPipeline, request: GenerationRequest) -> "FilmWorld":
    """The film world; what its prompts ask for has room in films of any shape.

    Args:
        pipeline: The model.
        request: What to make, without prompts.

    Returns:
        The world.

    Raises:
        FlagDiTError: There is no such size or length, or the films are too small or too short to be judged.
    """
    from flagdit_core.shapes import check_sides  # of no use but to evaluate, and slow to import
    from lumina_video.world import FilmWorld
    from lumina_video.world.verifier import check_num_frames

    (width, height), defaults = request.size or (None, None), pipeline.components.defaults
    size = check_frame_size(pipeline.components, height=height, width=width)
    check_sides(size.width, size.height)
    num_frames = _num_frames(request.options, request.options.get("fps", defaults.get("fps")))
    if num_frames is None:
        num_frames = defaults.get("num_frames")
    if num_frames is not None:  # else the pipeline says what is missing
        check_num_frames(num_frames)
    return FilmWorld()


def _num_frames(options: Mapping[str, Any], fps: float | None) -> int | None:
    """The length that was asked for, in frames."""
    if "seconds" not in options:
        return options.get("frames")
    if "frames" in options:
        raise ConfigError("--frames and --seconds say the same thing; give one of them")
    seconds = options["seconds"]
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--seconds must be a number above 0, got {seconds:g}")
    if fps is None:
        raise ConfigError("this model has no rate of its own; give --fps with --seconds")
    if seconds * fps > _MOST_FRAMES:
        raise ConfigError(f"a film has at most {_MOST_FRAMES} frames, got --seconds {seconds:g} at {fps:g} fps")
    return max(1, round(seconds * fps))
