"""What Triton's interpreter needs to be right, where ``TRITON_INTERPRET=1`` was set before triton was imported.

Defects seen with triton 3.6.0: a loop bound that is a tensor raises with numpy 2.4 and later; products of matrices,
arithmetic and comparison take the bit patterns of bfloat16 for numbers, and constants of it are missing; float32 is
truncated, not rounded, to bfloat16. The interpreter runs programs one after another on the CPU: it proves a kernel's
arithmetic and indexing, and says nothing about races, layouts or speed.
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

    builder, handle = interpreter.InterpreterBuilder, interpreter.TensorHandle
    if hasattr(builder, "get_bf16"):
        return
    patch_tensor, convert = interpreter._patch_lang_tensor, interpreter._convert_float
    dot, binary, unary = builder.create_dot, builder.binary_op, builder.unary_op

    def is_bfloat16(x):
        return x.dtype.scalar == tl.bfloat16

    def value(x):
        return handle(_widen(x.data), tl.float32) if is_bfloat16(x) else x

    def rounded(x):
        return handle(_round(x.data), tl.bfloat16) if x.data.dtype == np.float32 else x  # not the truth of a comparison

    def patch_tensor_with_index(tensor, scope):
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def dot_of_values(self, a, b, *rest):
        return dot(self, value(a), value(b), *rest)

    def binary_of_values(self, a, b, operation):
        if is_bfloat16(a) and is_bfloat16(b):
            return rounded(binary(self, value(a), value(b), operation))
        return binary(self, a, b, operation)

    def unary_of_values(self, a, operation):
        return rounded(unary(self, value(a), operation)) if is_bfloat16(a) else unary(self, a, operation)

    def convert_with_rounding(x, source, target, rounding):
        if (source, target) == (tl.bfloat16, tl.float32):
            return _widen(x)
        if (source, target) == (tl.float32, tl.bfloat16):
            return _round(x)
        return convert(x, source, target, rounding)

    interpreter._patch_lang_tensor = patch_tensor_with_index
    interpreter._convert_float = convert_with_rounding
    builder.create_dot, builder.binary_op, builder.unary_op = dot_of_values, binary_of_values, unary_of_values
    builder.get_bf16 = lambda self, number: handle(_round(np.array([number], dtype=np.float32)), tl.bfloat16)
