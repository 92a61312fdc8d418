from __future__ import annotations

import pytest
from pydantic import ValidationError

from mimovl.train.parallel_config import ParallelConfig


def test_unset_values_mean_one_process_in_float32() -> None:
    alone = ParallelConfig()
    assert (alone.data_parallel, alone.context_parallel, alone.fsdp, alone.micro_packs) == (None, 1, "off", 1)
    assert (alone.activation_checkpointing, alone.compile) == ("none", False)
    types = (alone.dtype, alone.parameter_dtype, alone.gradient_dtype, alone.optimizer_dtype)
    assert types == ("float32",) * 4


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"shard_size": 8}, "shard_size 8 has a meaning only with fsdp: hybrid, not 'off'"),
        ({"shard_size": 8, "fsdp": "full"}, "only with fsdp: hybrid, not 'full'"),
        ({"micro_packs": 2, "context_parallel": 4}, "micro_packs 2 computes packs together while context_parallel 4"),
        ({"parameter_dtype": "bfloat16"}, "parameter_dtype bfloat16 under dtype float32 gains nothing"),
        ({"context_parallel": 0}, "context_parallel"),
        ({"fsdp": True}, "fsdp"),
        ({"dtype": "fp8"}, "dtype"),
        ({"tensor_parallel": 2}, "tensor_parallel"),
    ],
)
def test_what_contradicts_itself_or_does_not_exist_is_refused(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ParallelConfig.model_validate(values)


def test_a_group_of_a_size_is_hybrid() -> None:
    assert ParallelConfig(fsdp="hybrid", shard_size=8).shard_size == 8
