"""What the ``lumina`` command asks of images."""

from typing import TYPE_CHECKING

from flagdit_core.pipeline.arguments import check_frame_size
from flagdit_core.pipeline.request import Generated, GenerationRequest
from lumina_image.artifacts import check_image_file
from lumina_image.pipeline import ImagePipeline

if TYPE_CHECKING:
    from lumina_image.world import PictureWorld


def generate(pipeline: ImagePipeline, request: GenerationRequest) -> Generated:
    """The pictures that a command asks for.

    Args:
        pipeline: The model.
        request: What to make.

    Returns:
        The pictures with their metadata.

    Raises:
        FlagDiTError: As :meth:`ImagePipeline.__call__`; and ShapeError for a size that the file format cannot hold.
    """
    width, height = request.size or (None, None)
    for path in request.paths:
        check_image_file(path, width=width or 0, height=height or 0)
    output = pipeline(
        request.prompts,
        negative_prompt=request.negative_prompt,
        width=width,
        height=height,
        num_images_per_prompt=request.count,
        first_image_index=request.first,
        seed=request.seeds,
        strict=request.strict,
        progress=request.progress,
        settings=request.settings,
    )
    assert isinstance(output.images, list)
    return Generated.of(output.images, output.report, latents=output.latents)


def world(pipeline: ImagePipeline, request: GenerationRequest) -> "PictureWorld":
    """The picture world for pictures of the size that a command asks for.

    Args:
        pipeline: The model.
        request: What to make, without prompts.

    Returns:
        A world whose prompts ask for what has room in such a picture.

    Raises:
        FlagDiTError: There is no such size, or the pictures are too small to be judged.
    """
    from flagdit_core.shapes import check_sides  # of no use but to evaluate, and slow to import
    from lumina_image.world import PictureWorld

    width, height = request.size or (None, None)
    size = check_frame_size(pipeline.components, height=height, width=width)
    check_sides(size.width, size.height)
    return PictureWorld(aspect=size.width / size.height)
