import pytest
import torch

from mimovl.generate.kv_cache import CachedAttention, KVCache, RecordingAttention
from mimovl.model import PackedAttention, Segments
from tests import tiny

LANGUAGE = tiny.config().language
HEADS, KV_HEADS, SIZE = LANGUAGE.num_heads, LANGUAGE.num_kv_heads, LANGUAGE.head_dim


def cache(slots: int = 4, length: int = 16) -> KVCache:
    return KVCache(LANGUAGE, slots, length, dtype=torch.float32, device=torch.device("cpu"))


def fill(target: KVCache, slot: int, size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random keys and values in a slot, shape (Y, L, K, D)."""
    generator = torch.Generator().manual_seed(100 * seed + slot)
    keys, values = torch.randn(2, LANGUAGE.num_layers, size, KV_HEADS, SIZE, generator=generator)
    target.put(slot, keys, values)
    return keys, values


def one_token(active: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    q = torch.randn(active, HEADS, SIZE, generator=generator)
    k, v = torch.randn(2, active, KV_HEADS, SIZE, generator=generator)
    return q, k, v


def test_what_is_put_in_a_slot_lies_there_by_layer_head_and_place() -> None:
    made = cache()
    keys, values = fill(made, 2, 5)
    assert made.lengths.tolist() == [0, 0, 5, 0]
    assert torch.equal(made.keys[:, 2, :, :5], keys.transpose(1, 2))
    assert torch.equal(made.values[:, 2, :, :5], values.transpose(1, 2))


def test_a_slot_moves_whole_and_the_others_stay() -> None:
    made = cache()
    fill(made, 0, 9)
    fill(made, 1, 4)
    keys, values = fill(made, 3, 6)
    before = made.keys[:, 1].clone()
    made.move(3, 0)
    assert made.lengths.tolist() == [6, 4, 0, 6]
    assert torch.equal(made.keys[:, 0, :, :6], keys.transpose(1, 2))
    assert torch.equal(made.values[:, 0, :, :6], values.transpose(1, 2))
    assert torch.equal(made.keys[:, 1], before)


@pytest.mark.parametrize("layer", [0, 1])
def test_one_more_token_attends_as_in_the_whole_sequence(layer: int) -> None:
    """Sequences of different lengths, after a move, against packed causal attention over everything."""
    made = cache()
    sizes = [7, 3, 1]
    stored = [fill(made, slot, size) for slot, size in enumerate(sizes)]
    stored.append(fill(made, 3, 5, seed=1))
    made.move(3, 1)
    stored[1], sizes[1] = stored[3], 5
    q, k, v = one_token(3)
    mixed = CachedAttention(made, 3)(layer, q, k, v)
    for slot, ((keys, values), size) in enumerate(zip(stored[:3], sizes, strict=True)):
        all_k = torch.cat([keys[layer], k[slot : slot + 1]])
        all_v = torch.cat([values[layer], v[slot : slot + 1]])
        all_q = torch.cat([torch.zeros(size, HEADS, SIZE), q[slot : slot + 1]])
        whole = PackedAttention(Segments(torch.tensor([0, size + 1])), causal=True)(layer, all_q, all_k, all_v)
        assert torch.allclose(mixed[slot], whole[-1], atol=1e-6)
        assert torch.equal(made.keys[layer, slot, :, size], k[slot])
        assert torch.equal(made.values[layer, slot, :, size], v[slot])


def test_what_lies_behind_the_end_of_a_slot_is_not_seen() -> None:
    """A longer sequence was there before."""
    clean, used = cache(), cache()
    for slot in range(3):
        fill(used, slot, 12, seed=5)
    for made in (clean, used):
        for slot, size in enumerate((7, 3, 1)):
            fill(made, slot, size)
    q, k, v = one_token(3)
    assert torch.equal(CachedAttention(clean, 3)(0, q, k, v), CachedAttention(used, 3)(0, q, k, v))


def test_the_prefill_keeps_keys_and_values_and_changes_nothing() -> None:
    inner = PackedAttention(Segments(torch.tensor([0, 4, 9])), causal=True)
    recording = RecordingAttention(inner)
    q, k, v = torch.randn(9, HEADS, SIZE), torch.randn(9, KV_HEADS, SIZE), torch.randn(9, KV_HEADS, SIZE)
    for layer in range(2):
        assert torch.equal(recording(layer, q, k + layer, v), inner(layer, q, k + layer, v))
    assert [torch.equal(kept, k + layer) for layer, kept in enumerate(recording.keys)] == [True, True]
    assert all(torch.equal(kept, v) for kept in recording.values)
