from __future__ import annotations

import pytest

from mimovl.errors import UsageError
from mimovl.plan import GPUS, find_gpu


def test_the_table_has_the_cards_asked_for_and_plausible_figures() -> None:
    assert list(GPUS) == ["h100", "h200", "a100-80g", "h20", "b200", "rtx4090"]
    for gpu in GPUS.values():
        assert gpu.bfloat16 > gpu.float32 > 10
        assert 20 < gpu.usable < gpu.memory < 200
        assert 0 < gpu.price < 20


def test_the_peak_is_that_of_the_precision() -> None:
    h100 = find_gpu("h100")
    assert (h100.peak("bfloat16"), h100.peak("float32")) == pytest.approx((989.4e12, 66.9e12))


def test_another_card_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="no GPU 'h-200' in the table; did you mean 'h200'.; there are: h100, h200"):
        find_gpu("h-200")
