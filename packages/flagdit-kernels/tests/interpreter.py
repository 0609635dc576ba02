"""What Triton's interpreter needs to be right, where ``TRITON_INTERPRET=1`` was set before triton was imported.

Three defects seen with triton 3.6.0: a loop bound that is a tensor raises with numpy 2.4; ``tl.dot`` multiplies the
bit patterns of bfloat16; float32 is truncated, not rounded, to bfloat16. The interpreter runs programs one after
another on the CPU: it proves a kernel's arithmetic and indexing, and says nothing about races, layouts or speed.
"""

import numpy as np


def _widen(bits: np.ndarray) -> np.ndarray:
    """Bit patterns of bfloat16 as float32."""
    wide = np.ascontiguousarray(bits).view(np.uint16).astype(np.uint32) << 16
    return wide.view(np.float32).reshape(bits.shape)


def _round(values: np.ndarray) -> np.ndarray:
    """Bit patterns of float32 rounded to bfloat16, to nearest, ties to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16).reshape(values.shape)


def repair() -> None:
    """Repair the interpreter of this process, once."""
    import triton.language as tl
    from triton.runtime import interpreter

    if getattr(interpreter, "_repaired", False):
        return
    interpreter._repaired = True
    patch_tensor, dot, convert = (
        interpreter._patch_lang_tensor,
        interpreter.InterpreterBuilder.create_dot,
        interpreter._convert_float,
    )

    def patch_tensor_with_index(tensor, scope):
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def dot_of_values(self, a, b, *rest):
        def value(handle):
            is_bfloat16 = handle.dtype.scalar == tl.bfloat16
            return interpreter.TensorHandle(_widen(handle.data), tl.float32) if is_bfloat16 else handle

        return dot(self, value(a), value(b), *rest)

    def convert_with_rounding(x, source, target, rounding):
        if (source, target) == (tl.bfloat16, tl.float32):
            return _widen(x)
        if (source, target) == (tl.float32, tl.bfloat16):
            return _round(x)
        return convert(x, source, target, rounding)

    interpreter._patch_lang_tensor = patch_tensor_with_index
    interpreter.InterpreterBuilder.create_dot = dot_of_values
    interpreter._convert_float = convert_with_rounding
