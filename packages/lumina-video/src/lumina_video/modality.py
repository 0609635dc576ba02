"""What the ``lumina`` command needs to know about films; imports nothing heavy."""

from pathlib import Path

from flagdit_core.modalities import Modality, Option

MODALITY = Modality(
    name="video",
    distribution="lumina-video",
    endings=(".mp4", ".gif", ".webm"),
    pipeline="lumina_video.pipeline:VideoPipeline",
    generate="lumina_video.command:generate",
    save="lumina_video.artifacts:save_film",
    read_metadata="lumina_video.artifacts:read_metadata",
    options=(
        Option(name="frames", kind=int, help="how many pictures the film has"),
        Option(name="seconds", kind=float, help="how long it lasts, instead of --frames"),
        Option(name="fps", kind=float, help="pictures a second"),
        Option(name="first-frame", kind=Path, help="picture that the film begins with"),
        Option(name="last-frame", kind=Path, help="picture that it ends with"),
        Option(name="next-prompt", kind=str, help="sentence that it turns into"),
        Option(name="extend", kind=Path, help="film whose last pictures it goes on from; both together are written"),
        Option(name="overlap", kind=int, help="how many of them, which --frames counts too"),
        Option(name="contact-sheet", kind=Path, help="PNG to write too, with all pictures side by side"),
    ),
    models={"nano": Path(__file__).parent / "models" / "nano"},
    recipes={
        "nano": "lumina_video.recipes:nano",
        "tiny": "lumina_video.recipes:tiny",
        "folder": "lumina_video.recipes:folder",
        "rewards": "lumina_video.recipes:rewards",
        "vae": "lumina_video.recipes:vae",
    },
    world="lumina_video.command:world",
    contact_sheet="lumina_video.contact_sheet:save_contact_sheet",
    companions=(".png",),
)
