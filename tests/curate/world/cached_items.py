"""Items of the embedded world, built once for all tests of this folder."""

from __future__ import annotations

from functools import lru_cache

from mimovl.curate.world import Split, WorldConfig, WorldItem, build_item

ENGLISH = WorldConfig(chinese_share=0.0)
CHINESE = WorldConfig(chinese_share=1.0)


@lru_cache(maxsize=64)
def items(source: str, count: int, split: Split = "train", *, chinese: bool = False) -> tuple[WorldItem, ...]:
    config = CHINESE if chinese else ENGLISH
    return tuple(build_item(source, seed=11, index=index, split=split, config=config) for index in range(count))
