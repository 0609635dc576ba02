"""A text encoder's two folders, ``text_encoder/`` and ``tokenizer/``, read without ever unpickling."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from flagdit_core.errors import CheckpointError
from flagdit_core.model.checkpoint import read_config, read_safetensors

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODEL, TOKENIZER = "text_encoder", "tokenizer"


def save(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Write a model (safetensors) and its tokenizer.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        folder: Made if missing.
    """
    with _quietly():
        model.save_pretrained(folder / MODEL)
    tokenizer.save_pretrained(folder / TOKENIZER)


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
    return _load_model(folder / MODEL, dtype), _load_tokenizer(folder / TOKENIZER)


def _load_model(folder: Path, dtype: torch.dtype | None) -> "PreTrainedModel":
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    files = _weight_files(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        config.use_cache = False  # keys and values are for generating text, which is not done here
        # plain AutoModel would give T5 with its decoder; the text-encoding classes do not list decoders
        is_encoder = type(config) in AutoModelForTextEncoding._model_mapping
        with _quietly():
            model, loading = (AutoModelForTextEncoding if is_encoder else AutoModel).from_pretrained(
                folder,
                config=config,
                dtype=dtype or "auto",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # listed, and refused below
            )
    except Exception as error:  # transformers and safetensors raise many kinds for a damaged folder
        for path in files:
            read_safetensors(path)  # says it best, if that is what is damaged
        raise CheckpointError(f"cannot read the text encoder in {folder}: {_first_line(error)}") from error
    if missing := sorted(loading["missing_keys"]):
        raise CheckpointError(f"{folder} lacks {len(missing)} weights, first {missing[0]}: copy it again")
    if odd := sorted(str(key) for key in loading["mismatched_keys"]):
        raise CheckpointError(f"{folder}: {len(odd)} weights do not fit config.json, first {odd[0]}: copy it again")
    return model


def _load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise CheckpointError(f"expected a tokenizer in {folder}, which is no folder: the model folder is incomplete")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as above
        raise CheckpointError(f"cannot read the tokenizer in {folder}: {_first_line(error)}") from error


def _weight_files(folder: Path) -> list[Path]:
    if "model_type" not in read_config(folder):
        raise CheckpointError(f"{folder}/config.json has no model_type: it is not a transformers model")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        found = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        pickles = f"; {found[0]} is a pickle, which can run code and is not loaded" if found else ""
        raise CheckpointError(f"expected *.safetensors in {folder}, found none{pickles}")
    return files


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers' bars and reports off the screen: what is wrong is raised by us."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
