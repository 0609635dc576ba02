"""Reading a text encoder's folders, without ever unpickling."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from flagdit_core.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load(folder: Path, *, dtype: torch.dtype | None) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The model of ``folder/text_encoder`` and the tokenizer of ``folder/tokenizer``.

    Args:
        folder: A local model folder.
        dtype: Of the parameters; the folder's own by default.

    Returns:
        The model and its tokenizer.

    Raises:
        CheckpointError: Something is missing, damaged, incomplete or only there as a pickle.
    """
    return _load_model(folder / "text_encoder", dtype), _load_tokenizer(folder / "tokenizer")


def _load_model(folder: Path, dtype: torch.dtype | None) -> "PreTrainedModel":
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    _check_files(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        # Plain AutoModel would give T5 with its decoder; the text-encoding classes do not list decoders.
        encoders = AutoModelForTextEncoding._model_mapping
        auto = AutoModelForTextEncoding if type(config) in encoders else AutoModel
        model, loading = auto.from_pretrained(
            folder,
            config=config,
            dtype=dtype or "auto",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # transformers and safetensors raise many kinds for a damaged folder
        raise CheckpointError(f"cannot read the text encoder in {folder}: {_first_line(error)}") from error
    wrong = sorted(loading["missing_keys"]) + sorted(str(key) for key in loading["mismatched_keys"])
    if wrong:
        raise CheckpointError(
            f"{folder} lacks {len(wrong)} of the text encoder's weights, first {wrong[0]}: get it anew"
        )
    return model


def _load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise CheckpointError(f"expected a tokenizer in {folder}, which is no folder: the model folder is incomplete")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as above
        raise CheckpointError(f"cannot read the tokenizer in {folder}: {_first_line(error)}") from error


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(
            f"expected a text encoder in {folder}, which is no folder: the model folder is incomplete"
        )
    config_file = folder / "config.json"
    try:
        model_type = json.loads(config_file.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"expected a JSON object in {config_file}: {_first_line(error)}") from error
    if model_type is None:
        raise CheckpointError(f"{config_file} has no model_type: it is not a transformers model")
    if not list(folder.glob("*.safetensors")):
        found = sorted(path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")))
        pickles = f"; {found[0]} is a pickle and is never read: convert it" if found else ""
        raise CheckpointError(f"expected *.safetensors in {folder}, found none{pickles}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
