"""The table of launch configurations, and the tuner's file that may replace its rows."""

import json

import pytest
import torch

from flagdit_kernels import configs
from flagdit_kernels.configs import CANDIDATES, CONFIGS, cache_file, find_config

triton = pytest.importorskip("triton")  # whose version names the tuner's file

CPU = torch.device("cpu")
KERNEL = "rms_norm_modulate.forward"


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    """No test reads or writes the user's cache, and none keeps what another found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    find_config.cache_clear()
    yield
    find_config.cache_clear()


def write(text: str) -> None:
    """Leave a file as the tuner would."""
    cache_file(CPU).parent.mkdir(parents=True, exist_ok=True)
    cache_file(CPU).write_text(text)


@pytest.mark.parametrize(("width", "row"), [(512, 512), (513, 1024), (1536, 2048), (4096, 4096), (10**6, 8192)])
def test_row_of_a_width(width, row):
    """A width takes its own row, else the next larger one, else the widest."""
    assert find_config(KERNEL, width, torch.bfloat16, CPU) == CONFIGS["sm_80"][KERNEL][row]


def test_float32_has_its_own_rows(monkeypatch):
    """Float32 reads the rows named for it where there are any; other dtypes do not."""
    own = configs.config(ROWS=1, num_warps=1)
    monkeypatch.setitem(CONFIGS["sm_80"], f"{KERNEL}.float32", {512: own})
    assert find_config(KERNEL, 512, torch.float32, CPU) == own
    assert find_config(KERNEL, 512, torch.float16, CPU) != own
    assert find_config("swiglu.forward", 512, torch.float32, CPU) == CONFIGS["sm_80"]["swiglu.forward"][512]


@pytest.mark.parametrize(
    ("capability", "hip", "expected"),
    [((9, 0), None, "sm_90"), ((8, 9), None, "sm_80"), ((12, 0), None, "sm_80"), ((9, 4), "7.0", "gfx942")],
)
def test_architecture(capability, hip, expected, monkeypatch):
    """Hopper has its own rows, other NVIDIA GPUs share one set, AMD's another whatever capability they report."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    assert configs.architecture(torch.device("cuda", 0)) == expected


def test_the_same_kernels_everywhere():
    """Each kernel has rows on every architecture, with the same constants in each row and candidate."""
    assert all(table.keys() == CONFIGS["sm_90"].keys() for table in CONFIGS.values())
    assert CANDIDATES.keys() == {kernel.removesuffix(".float32") for kernel in CONFIGS["sm_90"]}
    for kernel, candidates in CANDIDATES.items():
        names = {kernel, f"{kernel}.float32"} & CONFIGS["sm_90"].keys()
        rows = [row for table in CONFIGS.values() for name in names for row in table[name].values()]
        assert len({frozenset(row) for row in (*rows, *candidates)}) == 1, kernel


def test_rows_are_frozen():
    """Nobody changes a configuration that others use."""
    with pytest.raises(TypeError):
        find_config(KERNEL, 512, torch.bfloat16, CPU)["num_warps"] = 8


def test_cache_file_names_what_it_depends_on(monkeypatch, tmp_path):
    """The name changes with each version and the device's model; without XDG_CACHE_HOME it is under ~/.cache."""
    monkeypatch.setattr(configs.importlib.metadata, "version", {"flagdit-kernels": "0.1.0"}.get)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.setattr(triton, "__version__", "3.6.0")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200 / SXM")
    expected = "flagdit-kernels-0.1.0_torch-2.13.0-cu130_triton-3.6.0_NVIDIA-H200-SXM.json"
    assert cache_file(torch.device("cuda", 0)) == tmp_path / "flagdit" / expected
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_file(CPU).parent == configs.Path.home() / ".cache" / "flagdit"


@pytest.mark.parametrize("home", [None, "/dev/null"])
def test_a_user_without_a_home_has_the_table(home, monkeypatch):
    """Where no file can be the table is used; the tuner is told what to set."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(configs.Path, "home", lambda: configs.Path(home) if home else _no_home())
    assert find_config(KERNEL, 512, torch.bfloat16, CPU) == CONFIGS["sm_80"][KERNEL][512]
    if home is None:
        with pytest.raises(FileNotFoundError, match="XDG_CACHE_HOME"):
            cache_file(CPU)


def _no_home():
    raise RuntimeError("Could not determine home directory.")


def test_a_file_of_somebody_else_is_not_read(monkeypatch):
    """A cache that this user may not look into, as one's who became another user, is none."""

    def refuse(*_, **__):
        raise PermissionError("not yours")

    for function in ("stat", "read_text"):
        monkeypatch.setattr(configs.Path, function, refuse)
    assert find_config(KERNEL, 512, torch.bfloat16, CPU) == CONFIGS["sm_80"][KERNEL][512]


def test_a_checkout_needs_no_installation(monkeypatch):
    """Found by its path alone, the package has no version, and its kernels have configurations all the same."""
    monkeypatch.setattr(configs.importlib.metadata.Distribution, "from_name", _not_installed)
    assert cache_file(CPU).name.startswith("flagdit-kernels-checkout_torch-")
    assert find_config(KERNEL, 512, torch.bfloat16, CPU) == CONFIGS["sm_80"][KERNEL][512]


def _not_installed(name):
    raise configs.importlib.metadata.PackageNotFoundError(name)


def test_tuned_rows_replace_the_table():
    """The tuner's row is used for its width; other widths and kernels keep the table's."""
    row = {**CONFIGS["sm_80"][KERNEL][2048], "ROWS": 7}
    write(json.dumps({KERNEL: {"1536": row}}))
    assert find_config(KERNEL, 1536, torch.bfloat16, CPU) == row
    assert find_config(KERNEL, 1024, torch.bfloat16, CPU) == CONFIGS["sm_80"][KERNEL][1024]
    assert find_config(KERNEL, 2048, torch.bfloat16, CPU) == CONFIGS["sm_80"][KERNEL][2048]
    assert find_config("swiglu.forward", 512, torch.bfloat16, CPU) == CONFIGS["sm_80"]["swiglu.forward"][512]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"gelu.forward": {}}',
        f'{{"{KERNEL}": 3}}',
        f'{{"{KERNEL}": {{"x": {{"ROWS": 1, "num_warps": 1}}}}}}',
        f'{{"{KERNEL}": {{"512": {{"ROWS": 1}}}}}}',
        f'{{"{KERNEL}": {{"512": {{"ROWS": "1", "num_warps": 1}}}}}}',
    ],
    ids=["no JSON", "no object", "unknown kernel", "no rows", "no width", "missing constant", "no number"],
)
def test_damaged_file(text):
    """A file that cannot be used is one line that names it, whichever kernel is asked for; never a silent default."""
    write(text)
    with pytest.raises(ValueError, match="is no table of kernel configurations") as raised:
        find_config("swiglu.forward", 512, torch.bfloat16, CPU)
    assert str(cache_file(CPU)) in str(raised.value)
    assert "\n" not in str(raised.value)
