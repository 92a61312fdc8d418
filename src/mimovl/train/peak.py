"""How fast the machine could be: what model FLOPs utilisation (MFU) divides by.

    stated      the recipe's ``tracking.peak_tflops``
    data sheet  a GPU of ``plan/gpus.py``, known by the name its driver gives
    measured    the best of a few large matrix products, here and now, on the threads the trainer has

A measured peak is what this machine can do while it does whatever else it is doing; a data sheet's is never reached.
Each figure of utilisation is therefore written beside the kind of peak it was divided by.
"""

from __future__ import annotations

import functools
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from mimovl.plan import GPUS

__all__ = ["Peak", "machine_peak", "measured_peak"]

SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices: large enough for full speed, small enough for a quarter of a second."""
PRODUCTS = 5


@dataclass(frozen=True)
class Peak:
    """What one process's device could do."""

    tflops: float
    """10^12 operations a second; a multiply and an add are two."""
    source: Literal["stated", "data sheet", "measured"]

    def utilisation(self, flops: float, seconds: float, processes: int = 1) -> float:
        """Share of the peak that ``flops`` in ``seconds`` on so many devices are."""
        return flops / seconds / (self.tflops * 1e12 * processes)

    def as_dict(self) -> dict[str, Any]:
        """For a line of metrics."""
        return asdict(self)


def machine_peak(device: torch.device, dtype: torch.dtype, stated: float | None = None) -> Peak:
    """The peak of a device.

    Args:
        device: where the model computes.
        dtype: in which it multiplies matrices.
        stated: in TFLOP/s, by somebody who knows.
    """
    if stated is not None:
        return Peak(stated, "stated")
    if device.type == "cuda" and (tflops := _data_sheet(torch.cuda.get_device_name(device), dtype)):
        return Peak(tflops, "data sheet")
    return Peak(measured_peak(str(device), dtype, torch.get_num_threads()) / 1e12, "measured")


def _data_sheet(name: str, dtype: torch.dtype) -> float | None:
    """TFLOP/s of the card whose name, as its driver gives it, holds one of the table's."""
    words = name.lower().replace("-", " ").replace("rtx ", "rtx").split()
    memory = {"a100": "a100-80g" if "80gb" in words else ""}
    for word in words:
        if gpu := GPUS.get(memory.get(word, word)):
            return gpu.peak("bfloat16" if dtype == torch.bfloat16 else "float32") / 1e12
    return None


@functools.cache
def measured_peak(device: str, dtype: torch.dtype, threads: int) -> float:
    """Operations a second of the best of a few square matrix products; draws no random number.

    Args:
        device: where to multiply.
        dtype: of the matrices.
        threads: that the process computes with; a result is kept for each number of them.
    """
    side = SIDE.get(torch.device(device).type, SIDE["cuda"])
    one = torch.full((side, side), 0.5, dtype=dtype, device=device)
    out = torch.empty_like(one)
    best = float("inf")
    torch.mm(one, one, out=out)  # libraries load, buffers are made
    for _ in range(PRODUCTS):
        _synchronize(device)
        started = time.perf_counter()
        torch.mm(one, one, out=out)
        _synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2.0 * side**3 / best


def _synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
