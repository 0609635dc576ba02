"""Files: what is in them, what comes back, and that they are whole or not there."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError, OutputError, ShapeError
from flagdit_core.film_files import read_film_metadata
from lumina_3d import Object3D, Views, load_views, save_object, save_points, save_turntable, save_views
from lumina_3d.artifacts import read_metadata

SETTINGS = {"prompt": "a cône\non a cube", "seed": 7, "model": {"name": "nano"}}


@pytest.mark.parametrize("name", ["a.glb", "a.obj", "a.ply", "A.GLB"])
def test_meshes_come_back_with_colors_and_settings(item: Object3D, tmp_path: Path, name: str) -> None:
    """Trimesh reads the file as the same watertight mesh in the same colours, and the settings are in it."""
    save_object(item, tmp_path / name, SETTINGS)
    mesh = trimesh.load(tmp_path / name, force="mesh")
    assert mesh.is_watertight
    assert len(mesh.faces) == len(item.mesh.faces)
    np.testing.assert_allclose(mesh.bounds, item.mesh.bounds, atol=1e-6)
    assert mesh.volume == pytest.approx(item.mesh.volume, rel=1e-4)
    expected, found = (m.visual.vertex_colors[:, :3].mean(axis=0) for m in (item.mesh, mesh))
    np.testing.assert_allclose(found, expected, atol=1)
    assert read_metadata(tmp_path / name) == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_glb_is_standard(item: Object3D, tmp_path: Path) -> None:
    """The JSON part says glTF 2.0 and keeps the settings under asset.extras, where the format puts such things."""
    save_object(item, tmp_path / "a.glb", SETTINGS)
    content = (tmp_path / "a.glb").read_bytes()
    length = int.from_bytes(content[12:16], "little")
    asset = json.loads(content[20 : 20 + length])["asset"]
    assert asset["version"] == "2.0"
    assert asset["extras"]["lumina"] == SETTINGS


def test_stl_holds_shape_alone(item: Object3D, tmp_path: Path) -> None:
    """STL is written, and asking it for settings says that it holds none."""
    save_object(item, tmp_path / "a.stl", SETTINGS)
    assert trimesh.load(tmp_path / "a.stl").is_watertight
    with pytest.raises(CodecError, match="hold no settings"):
        read_metadata(tmp_path / "a.stl")


def test_point_clouds(item: Object3D, tmp_path: Path) -> None:
    """Points lie on the surface, carry its colours and the settings, and are the same every time."""
    for name in ("a.ply", "b.ply"):
        save_points(item, tmp_path / name, SETTINGS, count=500)
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
    cloud = trimesh.load(tmp_path / "a.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    assert cloud.vertices.shape == (500, 3)
    nearest = np.linalg.norm(cloud.vertices[:, None] - item.mesh.vertices[None], axis=-1).min(axis=1)
    assert nearest.max() < 0.03
    upper = cloud.colors[cloud.vertices[:, 1] > 0.65].astype(int)
    assert (upper[:, 2] > upper[:, 0]).mean() > 0.98
    assert read_metadata(tmp_path / "a.ply") == SETTINGS


def test_views_come_back(views: Views, tmp_path: Path) -> None:
    """Pictures are lossless, cameras equal, and the settings are in transforms.json."""
    save_views(views, tmp_path / "views", SETTINGS)
    again = load_views(tmp_path / "views")
    assert np.array_equal(again.images, views.images)
    for expected, camera in zip(views.cameras, again.cameras, strict=True):
        np.testing.assert_allclose(camera.matrix, expected.matrix)
    assert read_metadata(tmp_path / "views" / "transforms.json") == SETTINGS
    with pytest.raises(OutputError, match="already there"):
        save_views(views, tmp_path / "views", SETTINGS)


def test_damaged_views_are_named(views: Views, tmp_path: Path) -> None:
    """A missing picture and pictures of two sizes raise one line that names the place."""
    save_views(views, tmp_path / "views", {})
    Image.new("RGB", (8, 8)).save(tmp_path / "views" / "003.png")
    with pytest.raises(CodecError, match="one size"):
        load_views(tmp_path / "views")
    (tmp_path / "views" / "003.png").write_bytes(b"no picture")
    with pytest.raises(CodecError, match=r"003\.png"):
        load_views(tmp_path / "views")


@pytest.mark.parametrize(("name", "form"), [("t.png", "PNG"), ("t.gif", "GIF")])
def test_turntables(item: Object3D, tmp_path: Path, name: str, form: str) -> None:
    """A contact sheet has eight pictures; a GIF has as many frames as were asked for and the object in all of them."""
    save_turntable(item, tmp_path / name, SETTINGS, frames=5, size=48)
    with Image.open(tmp_path / name) as image:
        assert image.format == form
        if form == "GIF":
            assert image.n_frames == 5
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            assert np.asarray(image.convert("RGB")).min() < 128
        assert form == "GIF" or image.size == (4 * 52 + 4, 2 * 52 + 4)


def test_turntable_film(item: Object3D, tmp_path: Path) -> None:
    """An MP4 opens with its frames, its rate, its settings, and the object turning in it."""
    import av

    save_turntable(item, tmp_path / "t.mp4", SETTINGS, frames=6, size=64, fps=12)
    assert read_film_metadata(tmp_path / "t.mp4") == SETTINGS
    with av.open(tmp_path / "t.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == 12
    assert np.shape(frames) == (6, 64, 64, 3)
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 0.5


def test_wrong_endings_and_numbers_are_refused(item: Object3D, tmp_path: Path) -> None:
    """Nothing is written where the ending or a number cannot be."""
    with pytest.raises(ConfigError, match=r"\.glb, \.obj, \.ply, \.stl"):
        save_object(item, tmp_path / "a.fbx", {})
    with pytest.raises(ConfigError, match=r"\.ply"):
        save_points(item, tmp_path / "a.glb", {})
    with pytest.raises(ConfigError, match="1 point"):
        save_points(item, tmp_path / "a.ply", {}, count=0)
    with pytest.raises(ConfigError, match=r"\.png, \.mp4, \.webm, \.gif"):
        save_turntable(item, tmp_path / "a.avi", {})
    with pytest.raises(ShapeError, match="even sides"):
        save_turntable(item, tmp_path / "a.mp4", {}, size=63)
    with pytest.raises(ConfigError, match="1 frame or more"):
        save_turntable(item, tmp_path / "a.mp4", {}, frames=0)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(item: Object3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle leaves the old file whole, and nothing beside it."""
    save_object(item, tmp_path / "a.glb", SETTINGS)
    old = (tmp_path / "a.glb").read_bytes()

    def fill_up(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill_up)
        with pytest.raises(OutputError, match="No space left"):
            save_object(item, tmp_path / "a.glb", {})
    assert (tmp_path / "a.glb").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


def test_foreign_files_are_named(item: Object3D, tmp_path: Path) -> None:
    """Missing, damaged and foreign files raise one line each."""
    item.mesh.export(tmp_path / "foreign.glb")
    item.mesh.export(tmp_path / "foreign.ply")
    (tmp_path / "text.glb").write_text("no mesh")
    for name, says in (
        ("none.glb", "there is no file"),
        ("text.glb", "cannot be read as a glTF file"),
        ("foreign.glb", "carries no settings"),
        ("foreign.ply", "carries no settings"),
    ):
        with pytest.raises(CodecError, match=says):
            read_metadata(tmp_path / name)
