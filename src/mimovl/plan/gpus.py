"""GPUs a run may be planned for: how fast, how much memory, and what they are taken to cost.

Speeds are the vendor's peaks for dense matrices (no sparsity), memory is what the driver reports, in GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from mimovl.errors import UsageError
from mimovl.suggest import nearest

__all__ = ["GPUS", "Gpu", "find_gpu"]


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    bfloat16: float
    """Peak of dense bfloat16 matrix products with float32 sums, in TFLOP/s."""
    float32: float
    """Peak of float32 outside the matrix units, in TFLOP/s: what ``dtype: float32`` runs on."""
    memory: float
    """In GiB."""
    price: float
    """Assumed, in dollars an hour: the order of what clouds asked in 2025 and 2026, for plans that name no price."""

    @property
    def usable(self) -> float:
        """Memory for a training step, in GiB.

        Assumed: 2 GiB go to driver, libraries and communication buffers, 5 % of the rest is lost between allocations.
        """
        return (self.memory - 2.0) * 0.95

    def peak(self, dtype: str) -> float:
        """Operations a second in that precision."""
        return 1e12 * (self.bfloat16 if dtype == "bfloat16" else self.float32)


# Sources, NVIDIA's data sheets and white papers:
#   h100      H100 SXM5: 989.4 and 66.9 TFLOP/s, 80 GB (81,559 MiB): Hopper architecture white paper, table 2
#   h200      the H100's chip with 141 GB (143,771 MiB): H200 data sheet
#   a100-80g  A100 SXM4: 312 and 19.5 TFLOP/s, 80 GB (81,920 MiB): A100 data sheet
#   h20       148 and 44 TFLOP/s, 96 GB (97,871 MiB): H20 data sheet
#   b200      HGX B200, a system's figure divided by its 8 GPUs: 2,250 and 75 TFLOP/s, 180 GB (183,359 MiB)
#   rtx4090   165.2 (float32 sums) and 82.6 TFLOP/s, 24 GB (24,564 MiB): Ada architecture white paper, appendix A
GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("h100", 989.4, 66.9, 81_559 / 1024, 2.5),
        Gpu("h200", 989.4, 66.9, 143_771 / 1024, 3.0),
        Gpu("a100-80g", 312.0, 19.5, 81_920 / 1024, 1.5),
        Gpu("h20", 148.0, 44.0, 97_871 / 1024, 1.2),
        Gpu("b200", 2250.0, 75.0, 183_359 / 1024, 5.0),
        Gpu("rtx4090", 165.2, 82.6, 24_564 / 1024, 0.4),
    )
}


def find_gpu(name: str) -> Gpu:
    """The GPU of that name.

    Raises:
        UsageError: it is not in the table; lists those that are.
    """
    if name not in GPUS:
        raise UsageError(f"no GPU {name!r} in the table{nearest(name, list(GPUS))}; there are: {', '.join(GPUS)}")
    return GPUS[name]
