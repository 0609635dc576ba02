"""What the ``lumina`` command needs to know about 3-D objects; imports nothing heavy."""

from pathlib import Path

from flagdit_core.modalities import Modality, Option

MODALITY = Modality(
    name="3d",
    distribution="lumina-3d",
    endings=(".glb", ".obj", ".ply", ".stl"),
    pipeline="lumina_3d.pipeline:ObjectPipeline",
    generate="lumina_3d.command:generate",
    save="lumina_3d.artifacts:save_object",
    read_metadata="lumina_3d.artifacts:read_metadata",
    options=(
        Option(name="views", kind=int, help="how many views are made all around the object"),
        Option(name="front", kind=Path, help="picture of its front, before a plain background, as the first view"),
        Option(name="mesh-resolution", kind=int, help="voxels along its longest side (64)"),
        Option(name="views-folder", kind=Path, help="folder to write too: the views and transforms.json"),
        Option(name="points", kind=Path, help=".ply to write too: points on the surface"),
        Option(name="turntable", kind=Path, help=".png, .mp4, .webm or .gif to write too: the object turning"),
    ),
    models={"nano": Path(__file__).parent / "models" / "nano"},
    recipes={
        "nano": "lumina_3d.recipes:nano",
        "tiny": "lumina_3d.recipes:tiny",
        "folder": "lumina_3d.recipes:folder",
        "vae": "lumina_3d.recipes:vae",
    },
    world="lumina_3d.command:world",
    contact_sheet="lumina_3d.contact_sheet:save_contact_sheet",
    companions=(".json", ".png", ".mp4", ".webm", ".gif"),
)
