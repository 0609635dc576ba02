"""Training as small functions: a loss, an update, an average, a checkpoint, and the loop around them."""

from flagdit_core.training.checkpoint import latest_checkpoint, load_averaged_weights
from flagdit_core.training.config import TrainingConfig
from flagdit_core.training.data import Batch, BatchSource, Example, ExampleSource, Rollouts, collate
from flagdit_core.training.loop import TrainingResult, train
from flagdit_core.training.manifest import Entry, FolderDataset, Manifest, read_manifest
from flagdit_core.training.step import training_loss

__all__ = [
    "Batch",
    "BatchSource",
    "Entry",
    "Example",
    "ExampleSource",
    "FolderDataset",
    "Manifest",
    "Rollouts",
    "TrainingConfig",
    "TrainingResult",
    "collate",
    "latest_checkpoint",
    "load_averaged_weights",
    "read_manifest",
    "train",
    "training_loss",
]
