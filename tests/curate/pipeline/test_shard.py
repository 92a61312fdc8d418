"""A shard comes whole or not at all, and gives back chunks as they were."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.curate.pipeline.events import Events
from mimovl.curate.pipeline.shard import (
    ShardWriter,
    media_of,
    read_chunks,
    read_facts,
    read_observed,
    repeated_ids,
    shard_path,
    tallies_of,
)
from mimovl.types import Sample
from tests.curate.pipeline.parts import caption, picture


def chunks() -> list[list[Sample]]:
    return [[caption(f"{c}/{n}", f"text {n}", picture(n % 3)) for n in range(4)] for c in "ab"]


def test_chunks_come_back_and_pictures_lie_there_once(tmp_path: Path) -> None:
    events = Events()
    with ShardWriter(shard_path(tmp_path, 0, 0), {}, 5, events, last=False) as shard:
        for chunk in chunks():
            assert shard.write(chunk, {}) == chunk
            shard.observe([sample.id for sample in chunk])
        facts = shard.close({"more": 1})
    known = media_of(tmp_path, 1, 0)
    assert list(read_chunks(tmp_path, 0, 0, known)) == chunks()
    assert [ids[0] for ids in read_observed(tmp_path, 0, 0)] == ["a/0", "b/0"]
    assert len(known) == 3 and facts == read_facts(tmp_path, 0, 0) and facts["chunks"] == 2 and facts["more"] == 1

    with ShardWriter(shard_path(tmp_path, 1, 0), known, 5, Events(), last=True) as later:
        later.write(chunks()[0], {})
        later.close({})
    assert not (shard_path(tmp_path, 1, 0) / "media.tar").exists()
    assert tallies_of(read_facts(tmp_path, 1, 0) or {})[5].passed == 4
    assert list(read_chunks(tmp_path, 1, 0, media_of(tmp_path, 2, 0))) == chunks()[:1]


def test_an_exception_or_a_kill_leaves_no_shard(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ShardWriter(shard_path(tmp_path, 0, 3), {}, 5, Events(), last=True) as shard:
        shard.write(chunks()[0], {})
        raise ZeroDivisionError
    assert list((tmp_path / "segment-0").iterdir()) == [] and read_facts(tmp_path, 0, 3) is None


def test_what_cannot_be_stored_is_a_drop_and_the_rest_is_stored(tmp_path: Path) -> None:
    good = chunks()[0]
    wrong = replace(picture(1), data=b"other bytes")
    whole = good[1].media[picture(1).sha256]
    bad = [
        replace(good[0], id="nan", meta={"x": float("nan")}),
        replace(good[0], id="half \ud800"),
        replace(good[0], id="none", messages=()),
        replace(good[1], id="lie", media={whole.sha256: wrong}),
        replace(good[1], id="size", media={whole.sha256: replace(whole, width=7)}),
    ]
    events = Events()
    with ShardWriter(shard_path(tmp_path, 0, 0), {}, 5, events, last=True) as shard:
        assert shard.write([*bad[:4], *good, bad[4]], {}) == good
        shard.close({})
    assert [row[3] for row in events.rows] == ["not_storable"] * 5
    tally = events.tallies[5]
    assert (tally.seen, tally.passed, tally.dropped["not_storable"]) == (9, 4, 5)
    assert hashlib.sha256(whole.data).hexdigest() == whole.sha256


def test_a_shard_done_twice_is_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        with ShardWriter(shard_path(tmp_path, 0, 0), {}, 5, Events(), last=True) as shard:
            shard.write(chunks()[0], {})
            shard.close({})
    assert [path.name for path in (tmp_path / "segment-0").iterdir()] == ["000000"]


def test_ids_that_come_again_are_found_across_tasks(tmp_path: Path) -> None:
    for task, names in enumerate([["a", "b", "a"], [], ["c", "b"], ["a"]]):
        with ShardWriter(shard_path(tmp_path, 0, task), {}, 5, Events(), last=True) as shard:
            shard.write([caption(name, "x") for name in names], {})
            shard.close({})
    assert repeated_ids(tmp_path, 0, 4) == {0: [2], 2: [1], 3: [0]}
