"""What utilisation is a share of."""

import time

import pytest
import torch

from mimovl.plan import GPUS
from mimovl.train.peak import Peak, _data_sheet, machine_peak, measured_peak

CPU = torch.device("cpu")


def test_a_stated_peak_is_taken_as_it_is() -> None:
    assert machine_peak(CPU, torch.float32, 0.25) == Peak(0.25, "stated")


def test_a_processor_is_measured_once_and_the_word_says_so() -> None:
    peak = machine_peak(CPU, torch.float32)
    assert peak.source == "measured" and machine_peak(CPU, torch.float32) == peak
    assert peak.as_dict() == {"tflops": peak.tflops, "source": "measured"}


def test_the_measured_peak_is_the_best_of_its_products(monkeypatch) -> None:
    clock = iter([0, 3, 10, 12, 20, 20.5, 30, 31, 40, 44])  # 3, 2, 0.5, 1 and 4 seconds
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert measured_peak.__wrapped__("cpu", torch.float32, 1) == 2 * 1024**3 / 0.5


def test_measuring_draws_no_random_number() -> None:
    state = torch.get_rng_state()
    measured_peak.cache_clear()
    measured_peak("cpu", torch.float32, torch.get_num_threads())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("driver", "card"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100-80g"),
        ("NVIDIA H20", "h20"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
    ],
)
def test_a_card_is_known_by_the_name_its_driver_gives(driver, card) -> None:
    assert _data_sheet(driver, torch.bfloat16) == GPUS[card].bfloat16
    assert _data_sheet(driver, torch.float32) == GPUS[card].float32


@pytest.mark.parametrize("driver", ["NVIDIA A100-SXM4-40GB", "NVIDIA L40S", "Tesla T4", "NVIDIA H100X"])
def test_another_card_is_not_taken_for_one_of_the_table(driver) -> None:
    assert _data_sheet(driver, torch.bfloat16) is None


def test_utilisation_is_the_share_of_all_processes_peaks() -> None:
    assert Peak(0.5, "stated").utilisation(1e12, 4.0, processes=2) == pytest.approx(0.25)
