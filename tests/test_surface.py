"""What others rely on: public names with their arguments, and imports that are cheap and leave no trace."""

import importlib.metadata
import inspect
import json
import subprocess
import sys

import pytest
import typer

import flagdit_core
import flagdit_kernels
import lumina_image
import lumina_video
from flagdit_core.cli.app import app
from flagdit_core.interop.lumina_t2x import load_model

PACKAGES = ("flagdit_kernels", "flagdit_core", "lumina_image", "lumina_video", "lumina_3d", "lumina_audio")

# Names that callers write out; more may be added to each, none taken away.
ARGUMENTS = {
    "flagdit_core.FlagDiT.forward": (
        "latents", "timesteps", "caption", "caption_mask", "labels", "ntk_factor", "rope_scaling_factor",
        "base_sequence_length", "backend",
    ),
    "flagdit_core.FlagDiT.read_caption": ("caption", "caption_mask"),
    "flagdit_core.FlagDiT.from_pretrained": ("folder",),
    "flagdit_core.FlagDiT.save_pretrained": ("folder", "max_shard_size"),
    "flagdit_core.FlagDiTConfig.preset": ("name",),
    "flagdit_core.pack": ("latents", "layout"),
    "flagdit_core.unpack": ("tokens", "shapes", "layout"),
    "lumina_image.ImagePipeline.from_pretrained": ("model", "device", "dtype"),
    "lumina_image.ImagePipeline.__call__": (
        "prompt", "negative_prompt", "height", "width", "num_inference_steps", "guidance_scale",
        "num_images_per_prompt", "seed", "latents", "output_type", "callback_on_step_end", "strict",
    ),
    "lumina_video.VideoPipeline.from_pretrained": ("model", "device", "dtype"),
    "lumina_video.VideoPipeline.__call__": (
        "prompt", "negative_prompt", "next_prompt", "image", "last_image", "video", "overlap", "height", "width",
        "num_frames", "fps", "num_inference_steps", "guidance_scale", "num_videos_per_prompt", "seed", "latents",
        "callback_on_step_end", "strict",
    ),
    "lumina_video.save_film": ("film", "path", "metadata"),
    "lumina_video.read_film": ("path",),
    "lumina_video.join": ("before", "after", "overlap"),
}  # fmt: skip
COMMANDS = {
    "infer": ("prompt", "output", "model", "size", "steps", "guidance", "seed", "solver"),
    "train": ("recipe", "overrides", "resume"),
    "eval": ("target",),
    "convert": ("source", "target"),
    "info": ("target",),
}
OPERATORS = (
    "rms_norm_modulate", "layer_norm_modulate", "gated_residual", "gated_residual_rms_norm_modulate", "qk_norm_rope",
    "swiglu", "attention", "gated_cross_attention",
)  # fmt: skip


def output_of(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300).stdout


def loaded_after(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter holds after running ``code``."""
    return set(
        json.loads(output_of(f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))").splitlines()[-1])
    )


@pytest.mark.parametrize("path", ARGUMENTS)
def test_arguments(path: str) -> None:
    """A public function is where it is promised, and takes the promised names in the promised order."""
    package, *attributes = path.split(".")
    found = {"flagdit_core": flagdit_core, "lumina_image": lumina_image, "lumina_video": lumina_video}[package]
    for attribute in attributes:
        found = getattr(found, attribute)
    names = [name for name in inspect.signature(found).parameters if name != "self"]
    assert [name for name in names if name in ARGUMENTS[path]] == list(ARGUMENTS[path])


def test_load_model_families() -> None:
    """The loader of foreign checkpoints names its families, and takes their constructor's arguments or none."""
    parameters = inspect.signature(load_model).parameters
    assert list(parameters) == ["source", "family", "config"]
    assert parameters["family"].annotation.__args__ == ("t2i", "imagenet", "audio", "music")
    assert parameters["config"].default is None


@pytest.mark.parametrize("size", ["nano", "600m", "3b", "5b", "7b"])
def test_presets(size: str) -> None:
    """Every promised size of the network is there."""
    assert flagdit_core.FlagDiTConfig.preset(size).depth > 0


def test_all_public_names_load() -> None:
    """What ``__all__`` lists can be had, and what it does not list raises as any module's attribute does."""
    for package in (flagdit_core, lumina_image, lumina_video):
        assert all(getattr(package, name) is not None for name in package.__all__)
        assert set(package.__all__) <= set(dir(package))
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = package.nothing


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    """Every operator takes a backend by name, and picks one by itself if none is given."""
    assert inspect.signature(getattr(flagdit_kernels, name)).parameters["backend"].default == "auto"


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name: str) -> None:
    """The command line has the promised commands with the promised options."""
    command = typer.main.get_group(app).commands[name]
    assert {parameter.name for parameter in command.params} >= set(COMMANDS[name])


def test_modalities_are_entry_points() -> None:
    """The modalities are found through their entry points, not by an import."""
    assert {"image", "video"} <= {entry.name for entry in importlib.metadata.entry_points(group="lumina.modalities")}


@pytest.mark.parametrize("package", PACKAGES)
def test_import_is_cheap(package: str) -> None:
    """Importing a package loads neither triton nor the large libraries that only some uses need."""
    loaded = loaded_after(f"import {package}")
    assert package in loaded
    assert not loaded & {"triton", "transformers", "diffusers", "scipy", "matplotlib", "tensorboard", "torchdiffeq"}


def test_making_something_loads_no_world() -> None:
    """What the command needs to make something loads neither a world nor scipy, which only data and evaluation need."""
    flat = ("lumina_image", "lumina_video", "lumina_audio")
    loaded = loaded_after("; ".join(f"import {package}.command, {package}.artifacts" for package in flat))
    assert {f"{package}.pipeline" for package in flat} <= loaded
    assert not loaded & {*(f"{package}.world" for package in flat), "flagdit_core.shapes", "scipy", "diffusers"}
    assert "lumina_3d.world" not in loaded_after("import lumina_3d.command")


@pytest.mark.parametrize("words", [["--help"], ["infer", "--help"], ["--version"]])
def test_help_is_cheap(words: list[str]) -> None:
    """Help comes without torch and numpy, on which a second and more of CPU time would go."""
    loaded = loaded_after(f"from flagdit_core.cli import main\nassert main({words}) == 0")
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "transformers", "diffusers", "PIL"}


def test_imports_leave_no_trace() -> None:
    """Importing every package and its public names changes no global setting, random state, or GPU."""
    code = f"""
import logging, random, signal, warnings
import numpy as np, torch

def state():
    return [
        torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(),
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32,
        torch.backends.mkldnn.enabled, torch.is_autocast_enabled(), torch.initial_seed(),
        torch.get_rng_state().tolist(), np.geterr(), str(np.random.get_state()), random.getstate(),
        logging.getLogger().level, len(logging.getLogger().handlers), signal.getsignal(signal.SIGINT),
        [str(entry) for entry in warnings.filters if "flagdit" in str(entry) or "lumina" in str(entry)],
    ]

before = state()
for name in {PACKAGES}:
    package = __import__(name)
    for public in getattr(package, "__all__", ()):
        getattr(package, public)
after = state()
assert before == after, [pair for pair in zip(before, after) if pair[0] != pair[1]]
assert not torch.cuda.is_initialized()
print("unchanged")
"""
    assert output_of(code) == "unchanged\n"
