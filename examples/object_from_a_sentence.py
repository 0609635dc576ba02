"""An object from a sentence, in all its files; and the same from a mesh of one's own."""

import trimesh

from lumina_3d import (
    ObjectPipeline,
    consistency,
    load_views,
    orbit,
    reconstruct,
    render,
    save_object,
    save_points,
    save_turntable,
    save_views,
)
from lumina_3d.world import verify, verify_mesh

SENTENCE = "a medium green cone"


def main() -> None:
    """Write an object as a mesh, as points, as views and as a turntable; and another one from its pictures."""
    pipe = ObjectPipeline.from_pretrained("nano")
    made = pipe(SENTENCE, seed=7, num_inference_steps=12)
    item = made.objects()[0]
    settings = made.report.as_dict()
    save_object(item, "cone.glb", settings)
    save_points(item, "points.ply", settings, count=5000)
    save_turntable(item, "turntable.gif", settings, frames=24, size=128)
    save_views(item.views, "views", settings)
    right = verify(item.views, SENTENCE).passed, verify_mesh(item.mesh, SENTENCE).passed
    agreement = consistency(item.views, item.mesh).mean_silhouette_iou
    print(f"views {right[0]}, mesh {right[1]}, the views agree on it to {agreement:.0%}")  # noqa: T201 - an example prints

    capsule = trimesh.creation.capsule(height=0.5, radius=0.25)
    capsule.visual.face_colors = (200, 80, 30, 255)
    save_views(render(capsule, orbit(16), width=96, height=96), "capsule", {})
    again = reconstruct(load_views("capsule"))
    save_object(again, "capsule.obj", {})


if __name__ == "__main__":
    main()
