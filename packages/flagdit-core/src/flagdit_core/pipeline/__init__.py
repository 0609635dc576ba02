"""The common half of every modality's pipeline: its parts, their folder, the settings, and prompts to latents."""

from flagdit_core.pipeline.base import Pipeline
from flagdit_core.pipeline.components import Components, load_components, weights_digest
from flagdit_core.pipeline.controls import Guide, Known, Region
from flagdit_core.pipeline.folder import check_folder, read_model_index
from flagdit_core.pipeline.generate import generate_latents
from flagdit_core.pipeline.memory import check_memory, memory_errors
from flagdit_core.pipeline.settings import SamplingSettings
from flagdit_core.pipeline.source import resolve_model
from flagdit_core.pipeline.velocity import Shape

__all__ = [
    "Components",
    "Guide",
    "Known",
    "Pipeline",
    "Region",
    "SamplingSettings",
    "Shape",
    "check_folder",
    "check_memory",
    "generate_latents",
    "load_components",
    "memory_errors",
    "read_model_index",
    "resolve_model",
    "weights_digest",
]
