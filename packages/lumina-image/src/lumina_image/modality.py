"""What the ``lumina`` command needs to know about images; imports nothing heavy."""

from pathlib import Path

from flagdit_core.modalities import Modality

MODALITY = Modality(
    name="image",
    distribution="lumina-image",
    endings=(".png", ".jpg", ".jpeg", ".webp"),
    pipeline="lumina_image.pipeline:ImagePipeline",
    generate="lumina_image.command:generate",
    save="lumina_image.artifacts:save_image",
    read_metadata="lumina_image.artifacts:read_metadata",
    models={"nano": Path(__file__).parent / "models" / "nano"},
    recipes={
        "nano": "lumina_image.recipes:nano",
        "tiny": "lumina_image.recipes:tiny",
        "rewards": "lumina_image.recipes:rewards",
        "folder": "lumina_image.recipes:folder",
        "vae": "lumina_image.recipes:vae",
    },
    world="lumina_image.command:world",
    contact_sheet="flagdit_core.contact_sheet:save_contact_sheet",
)
