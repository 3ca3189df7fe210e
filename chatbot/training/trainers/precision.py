"""What to compute in."""

from __future__ import annotations


def computes_in_bfloat16(device: str) -> bool:
    """Whether `device`, "cpu" or "cuda", multiplies bfloat16 matrices in hardware. Emulated it is slower than float32.

    With AVX-512 BF16 a forward pass takes a quarter of the time, so it is not measured each time: a choice by the clock
    would make the same seed give another result on a busy machine.
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(torch.cpu._is_avx512_bf16_supported())
