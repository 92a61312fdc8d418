from mimovl.reward.metrics import Metrics


def test_what_happened_is_counted_in_prometheus_words() -> None:
    metrics = Metrics()
    metrics.watch(queued=lambda: 3.0, workers=lambda: 2.0)
    metrics.request(200, 0.003)
    metrics.request(429, 0.001)
    metrics.item("box", "CORRECT", 5)
    metrics.worker_ended("SIGSEGV")
    text, content_type = metrics.text()
    lines = text.decode().splitlines()
    assert content_type.startswith("text/plain")
    for line in (
        'mimovl_reward_requests_total{status="200"} 1.0',
        'mimovl_reward_requests_total{status="429"} 1.0',
        'mimovl_reward_request_seconds_bucket{le="0.005"} 2.0',
        'mimovl_reward_items_total{by="box",outcome="CORRECT"} 5.0',
        'mimovl_reward_worker_ends_total{reason="SIGSEGV"} 1.0',
        "mimovl_reward_queued_items 3.0",
        "mimovl_reward_workers 2.0",
    ):
        assert line in lines


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.item("box", "CORRECT", 1)
    assert b'outcome="CORRECT"' in first.text()[0] and b'outcome="CORRECT"' not in second.text()[0]
