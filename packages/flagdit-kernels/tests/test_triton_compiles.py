"""The Triton kernels compile for GPUs that are not there: types and layouts that the interpreter does not check."""

import os

import pytest

triton = pytest.importorskip("triton")
from triton.backends.compiler import GPUTarget  # noqa: E402 - only where triton is
from triton.compiler import ASTSource  # noqa: E402 - only where triton is

from flagdit_kernels.ops.qk_norm_rope import triton as qk_triton  # noqa: E402 - only where triton is
from flagdit_kernels.ops.rms_norm_modulate import triton as rms_triton  # noqa: E402 - only where triton is
from flagdit_kernels.ops.swiglu import triton as swiglu_triton  # noqa: E402 - only where triton is

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter replaces the compiler"
)

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
FLOAT32_POINTERS = ("PARTIAL", "DWEIGHT_PARTIAL", "COS", "SIN")
ROWS = {"D": 1536, "BLOCK_D": 2048, "BLOCK_B": 4}
KERNELS = {
    "rms_norm_modulate forward": (rms_triton._forward_kernel, ROWS),
    "rms_norm_modulate backward": (rms_triton._backward_kernel, ROWS),
    "rms_norm_modulate reduce": (rms_triton._reduce_kernel, {"D": 1536, "BLOCK_C": 64, "BLOCK_T": 16, "BLOCK_B": 4}),
    "qk_norm_rope forward": (qk_triton._forward_kernel, {"D": 1536, "P": 24, "BLOCK_D": 2048, "NORM": 2}),
    "qk_norm_rope backward": (qk_triton._backward_kernel, {"D": 1536, "P": 24, "BLOCK_D": 2048, "NORM": 2}),
    "swiglu forward": (swiglu_triton._forward_kernel, {"F": 4096, "BLOCK_L": 4, "BLOCK_F": 512}),
    "swiglu backward": (swiglu_triton._backward_kernel, {"F": 4096, "BLOCK_L": 4, "BLOCK_F": 512}),
}


def _type(name: str) -> str:
    """The type of an argument from its name: pointers are in capitals."""
    if name == "CU_SEQLENS":
        return "*i32"
    if name.isupper():
        return "*fp32" if name in FLOAT32_POINTERS else "*bf16"
    return "fp32" if name == "eps" else "i32"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_kernel_compiles(kernel, target, tmp_path, monkeypatch):
    """The kernel compiles for the target, with 16-byte loads on NVIDIA as at run time."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function, constants = kernel
    signature = {name: "constexpr" if name in constants else _type(name) for name in function.arg_names}
    aligned = (i for i, name in enumerate(function.arg_names) if signature[name][0] == "*" or name.endswith("stride"))
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs=constants,
        attrs={(index,): [["tt.divisibility", 16]] for index in aligned},
    )
    compiled = triton.compile(source, target=target, options={"num_warps": 4})
    if target.backend == "cuda":
        assert "ld.global.v4" in compiled.asm["ptx"]
    else:
        assert compiled.asm["amdgcn"]


def test_interpreter_is_off():
    """These tests compile real kernels, not interpreted ones."""
    assert isinstance(rms_triton._forward_kernel, triton.JITFunction)
