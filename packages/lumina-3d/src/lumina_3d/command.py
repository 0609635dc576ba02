"""What the ``lumina`` command asks of 3-D objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flagdit_core.errors import ConfigError
from flagdit_core.metadata import fingerprints
from flagdit_core.picture_files import read_picture
from flagdit_core.pipeline.arguments import check_frame_size
from flagdit_core.pipeline.request import Generated, GenerationRequest
from flagdit_core.report import Report
from lumina_3d import turntable
from lumina_3d.artifacts import check_mesh_file
from lumina_3d.pipeline import ObjectOutput, ObjectPipeline
from lumina_3d.points import save_points
from lumina_3d.reconstruction import LEAST_VIEWS, RESOLUTIONS, reconstruct
from lumina_3d.reprojection import LEAST_AGREEMENT, consistency
from lumina_3d.transforms import save_views
from lumina_3d.views import EmptyForegroundError, Object3D, Views

if TYPE_CHECKING:
    from lumina_3d.world import ObjectWorld


def generate(pipeline: ObjectPipeline, request: GenerationRequest) -> Generated:
    """The objects that a command asks for; of several, errors stand for those that cannot be made.

    Without files to write, their views do.

    Args:
        pipeline: The model.
        request: What to make.

    Returns:
        The objects with their metadata.

    Raises:
        FlagDiTError: As :meth:`ObjectPipeline.__call__`; and EmptyForegroundError where the views of a single one show
            no object, after they were written to the folder that was asked for.
    """
    options = request.options
    resolution = options.get("mesh-resolution", 64)
    _check_options(request, resolution, options.get("views"))
    output = _sampled(pipeline, request)
    output.report.record(given_files=fingerprints({"front": options["front"]} if "front" in options else {}))
    for path in request.paths:
        if path.suffix.lower() == ".stl":
            output.report.deviation(
                f"{path}: STL files hold neither colours nor settings; .glb, .obj and .ply files do"
            )
    if not request.paths:
        made = [_object_or_error(views, resolution) for views in output.views]
        return Generated.of([item if isinstance(item, Object3D) else item.views for item in made], output.report)
    generated = _with_agreement([_object_or_error(views, resolution) for views in output.views], output.report)
    first = generated.artifacts[0]
    if isinstance(first, Object3D):
        _write_extras(first, options, {**generated.metadata[0], **request.source})
    elif len(generated.artifacts) == 1:
        raise _keep_views(first, request, output.report) from first
    return generated


def generate_views(pipeline: ObjectPipeline, request: GenerationRequest) -> Generated:
    """The views of the objects that are asked for, without their meshes, which take longer than a few views.

    Args:
        pipeline: The model.
        request: What to make; options that are of meshes or of files do nothing.

    Returns:
        The views with their metadata.

    Raises:
        FlagDiTError: As :meth:`ObjectPipeline.__call__`.
    """
    output = _sampled(pipeline, request)
    return Generated.of(output.views, output.report, latents=output.latents)


def world(pipeline: ObjectPipeline, request: GenerationRequest) -> "ObjectWorld":
    """The object world; what its prompts ask for has room in views of any shape.

    Args:
        pipeline: The model.
        request: What to make, without prompts.

    Returns:
        The world.

    Raises:
        FlagDiTError: There is no such size, or the views are too small to be judged.
    """
    from flagdit_core.shapes import check_sides  # of no use but to evaluate, and slow to import
    from lumina_3d.world import ObjectWorld

    width, height = request.size or (None, None)
    size = check_frame_size(pipeline.components, height=height, width=width)
    check_sides(size.width, size.height)
    return ObjectWorld()


def _sampled(pipeline: ObjectPipeline, request: GenerationRequest) -> ObjectOutput:
    """The views that are asked for."""
    options, (width, height) = request.options, request.size or (None, None)
    return pipeline(
        request.prompts,
        negative_prompt=request.negative_prompt,
        image=read_picture(options["front"]) if "front" in options else None,
        width=width,
        height=height,
        num_views=options.get("views"),
        num_objects_per_prompt=request.count,
        first_object_index=request.first,
        seed=request.seeds,
        strict=request.strict,
        progress=request.progress,
        settings=request.settings,
    )


def _object_or_error(views: Views, resolution: int) -> Object3D | EmptyForegroundError:
    """The object in views, or what is wrong with them if there is none."""
    try:
        return reconstruct(views, resolution=resolution)
    except EmptyForegroundError as error:
        return error


def _keep_views(error: EmptyForegroundError, request: GenerationRequest, report: Report) -> EmptyForegroundError:
    """The error that says where the views are that show no object."""
    folder = request.options.get("views-folder")
    if folder is None:
        return EmptyForegroundError(f"{error}; --views-folder FOLDER keeps the views", error.views)
    save_views(error.views, folder, {**Generated.of([error.views], report).metadata[0], **request.source})
    return EmptyForegroundError(f"{error}; the views are in {folder}", error.views)


def _with_agreement(items: Sequence[Object3D | EmptyForegroundError], report: Report) -> Generated:
    """Objects whose metadata tell how far the views agree on them; too little of it is reported."""
    agreements = [
        consistency(item.views, item.mesh).mean_silhouette_iou if isinstance(item, Object3D) else None for item in items
    ]
    for number, agreement in enumerate(agreements, start=1):
        if agreement is not None and agreement < LEAST_AGREEMENT:
            report.deviation(
                f"the views of object {number} contradict one another: they overlap with it by {agreement:.0%} on "
                f"average, expected {LEAST_AGREEMENT:.0%} or more; another seed may help"
            )
    generated = Generated.of(items, report)
    told = zip(generated.metadata, agreements, strict=True)
    return replace(
        generated, metadata=[{**settings, "view_agreement": share and round(share, 3)} for settings, share in told]
    )


def _write_extras(item: Object3D, options: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """The other files that were asked for."""
    if "views-folder" in options:
        save_views(item.views, options["views-folder"], metadata)
    if "points" in options:
        save_points(item, options["points"], metadata)
    if "turntable" in options:
        turntable.save_turntable(item, options["turntable"], metadata)


def _check_options(request: GenerationRequest, resolution: int, num_views: int | None) -> None:
    """Refuse, before any work, what could not be written in the end."""
    for path in request.paths:
        check_mesh_file(path)
    if not RESOLUTIONS[0] <= resolution <= RESOLUTIONS[1]:
        raise ConfigError(f"--mesh-resolution must be from {RESOLUTIONS[0]} to {RESOLUTIONS[1]}, got {resolution}")
    if num_views is not None and num_views < LEAST_VIEWS:
        raise ConfigError(f"an object needs {LEAST_VIEWS} views or more, got --views {num_views}")
    request.extra_file("points", (".ply",), of_one=True)
    request.extra_file("turntable", turntable.ENDINGS, of_one=True)
    request.extra_folder("views-folder", of_one=True)
