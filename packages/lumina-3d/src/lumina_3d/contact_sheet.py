"""Many objects in one picture: each is a row of its views."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from flagdit_core import contact_sheet
from lumina_3d.views import Object3D, Views


def save_contact_sheet(items: Sequence[Object3D | Views], path: Path | str) -> None:
    """Write the views of objects side by side.

    Args:
        items: At least one, all with the same number of views.
        path: PNG file to write.

    Raises:
        OutputError: The file cannot be written.
    """
    views = [item if isinstance(item, Views) else item.views for item in items]
    pictures = [Image.fromarray(image) for each in views for image in each.images]
    contact_sheet.save_contact_sheet(pictures, path, columns=len(views[0].images))
