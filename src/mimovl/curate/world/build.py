"""One entry point for all sources: ``build_item(source, seed=…, index=…, split=…, config=…)``.

The same arguments always give the same item, pixel for pixel. An item is drawn until its key falls in the
wanted split, so train and held-out never share a scene whatever their seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from mimovl.curate.world.arithmetic import build_arithmetic
from mimovl.curate.world.attributes import attribute_turns
from mimovl.curate.world.clip import build_clip
from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.dense import DENSE_SOURCES, with_dense_caption
from mimovl.curate.world.documents import build_interleaved, build_text
from mimovl.curate.world.gui import build_gui
from mimovl.curate.world.items import Accept, Split, Turn, WorldItem, draw_accepted, is_heldout
from mimovl.curate.world.ocr import build_ocr
from mimovl.curate.world.reasoning import reasoning_turns
from mimovl.curate.world.recall import build_recall
from mimovl.curate.world.scene import Scene, annotate, describe, draw_scene, render
from mimovl.curate.world.scene_turns import caption_turns, counting_turns, grounding_turns, sample_counting_scene
from mimovl.errors import DataError

__all__ = ["SOURCES", "build_item"]

SceneTurns = Callable[[random.Random, Scene, str, WorldConfig], tuple[Turn, ...]]

_SCENE_TURNS: dict[str, SceneTurns] = {
    "world/caption": caption_turns,
    "world/attributes": attribute_turns,
    "world/grounding": grounding_turns,
    "world/reasoning": reasoning_turns,
}
_DESCRIBED = ("world/caption", "world/attributes", "world/counting", "world/gui", "world/ocr", "world/clip")
SOURCES = (
    "world/caption",
    "world/dense",
    "world/interleaved",
    "world/ocr",
    "world/grounding",
    "world/counting",
    "world/attributes",
    "world/gui",
    "world/clip",
    "world/arithmetic",
    "world/reasoning",
    "world/text",
    "world/recall",
)
"""Every source ``build_item`` knows."""


def build_item(source: str, *, seed: int, index: int, split: Split, config: WorldConfig) -> WorldItem:
    """Item number ``index`` of a source.

    Args:
        source: One of ``SOURCES``.
        seed: Seed of the data set.
        index: Number of the item.
        split: ``train`` or ``heldout``.
        config: Sizes and shares.

    Raises:
        DataError: There is no such source or split.
    """
    if source not in SOURCES:
        raise DataError(f"no source {source!r} in the embedded world; sources: {', '.join(SOURCES)}")
    if split not in ("train", "heldout"):
        raise DataError(f"no split {split!r}; the splits are train and heldout")
    rng = random.Random(f"{seed}/{source}/{split}/{index}")
    wanted = split == "heldout"
    item = _build(source, rng, config, lambda key: is_heldout(key) == wanted)
    while not item.turns and not item.document:  # rare: nothing has exactly one answer
        item = _build(source, rng, config, lambda key: is_heldout(key) == wanted)
    item.id = f"{source}/{split}-{seed}-{index}"
    return item


def _build(source: str, rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    if source == "world/dense":
        [drawn] = rng.choices(list(DENSE_SOURCES), list(DENSE_SOURCES.values()))
        return with_dense_caption(_build(drawn, rng, config, accept), rng)
    if source == "world/gui":
        return build_gui(rng, config, accept)
    if source == "world/ocr":
        return build_ocr(rng, config, accept)
    if source == "world/clip":
        return build_clip(rng, config, accept)
    if source == "world/arithmetic":
        return build_arithmetic(rng, config, accept)
    if source == "world/recall":
        return build_recall(rng, config, accept)
    if source == "world/interleaved":
        return build_interleaved(rng, config, accept)
    if source == "world/text":
        return build_text(rng, config, accept, lambda: _build(rng.choice(_DESCRIBED), rng, config, accept))
    return _build_scene(source, rng, config, accept)


def _build_scene(source: str, rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    """A scene with the turns of one source; drawn again in the rare case that nothing can be asked of it."""
    language = "zh" if rng.random() < config.chinese_share else "en"
    while True:
        if source == "world/counting":
            counting = draw_accepted(lambda: sample_counting_scene(rng, config), accept)
            scene, turns = counting.scene, counting_turns(rng, counting, language, config)
        else:
            low, high = config.objects
            counts = (max(2, low), max(2, high)) if source == "world/reasoning" else (low, high)
            scene = draw_scene(rng, config, accept, counts=counts)
            turns = _SCENE_TURNS[source](rng, scene, language, config)
        if turns:
            break
    return WorldItem(
        source=source,
        key=scene.key,
        language=language,
        image=render(rng, scene, config),
        turns=turns,
        annotations=annotate(scene),
        description=describe(scene, language),
    )
