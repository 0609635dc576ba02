"""What the ``lumina`` command needs to know about sound; imports nothing heavy."""

from pathlib import Path

from flagdit_core.modalities import Modality, Option

MODALITY = Modality(
    name="audio",
    distribution="lumina-audio",
    endings=(".wav", ".flac", ".ogg", ".mp3"),
    pipeline="lumina_audio.pipeline:AudioPipeline",
    generate="lumina_audio.command:generate",
    save="lumina_audio.artifacts:save_sound",
    read_metadata="lumina_audio.artifacts:read_metadata",
    options=(
        Option(name="seconds", kind=float, help="how long the sound is"),
        Option(name="sample-rate", kind=int, help="of the file, in Hz; the model's own if left out"),
        Option(name="audio", kind=Path, help="sound to go on from, or to change a span of"),
        Option(name="span-start", kind=float, help="where the span begins that is made anew, in seconds"),
        Option(name="span-end", kind=float, help="where it ends"),
        Option(name="spectrogram", kind=Path, help="PNG to write too"),
    ),
    models={"nano": Path(__file__).parent / "models" / "nano"},
    recipes={
        "nano": "lumina_audio.recipes:nano",
        "phonemes": "lumina_audio.recipes:phonemes",
        "tiny": "lumina_audio.recipes:tiny",
        "folder": "lumina_audio.recipes:folder",
        "mel_vae": "lumina_audio.recipes:mel_vae",
    },
    world="lumina_audio.command:world",
    contact_sheet="lumina_audio.contact_sheet:save_contact_sheet",
    companions=(".png",),
)
