"""What a run costs before it is started: FLOPs by part, memory of a GPU, and how fast which GPU is.

Pure functions of the model's shape; ``mimovl plan`` (``pipeline/plan.py``) applies them to a recipe, the trainer takes
its FLOPs for model FLOPs utilisation from the same place.
"""

from mimovl.plan.flops import PARTS, Checkpointing, Flops, Load, count_flops, flops_per_token
from mimovl.plan.gpus import GPUS, Gpu, find_gpu
from mimovl.plan.memory import Memory, Spread, activation_bytes, num_parameters, plan_memory
from mimovl.plan.workload import Workload

__all__ = [
    "GPUS",
    "PARTS",
    "Checkpointing",
    "Flops",
    "Gpu",
    "Load",
    "Memory",
    "Spread",
    "Workload",
    "activation_bytes",
    "count_flops",
    "find_gpu",
    "flops_per_token",
    "num_parameters",
    "plan_memory",
]
