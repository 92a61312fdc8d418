"""The embedded world: seeded pictures, pages, clips, problems and texts with questions and exact answers.

    build_item(source, seed, index, split) ─▶ WorldItem ─┬─ to_training_sample ─▶ Sample: conversation or document
                                                         └─ to_questions ───────▶ Samples with gold

Files: scenes are drawn in ``scene.py``, asked about in ``scene_turns.py``, ``refer.py`` and ``reasoning.py``;
``gui.py``, ``ocr.py``, ``clip.py``, ``arithmetic.py`` and ``documents.py`` are the other sources; ``build.py``
dispatches, ``samples.py`` encodes. Train and held-out are split by what an item shows (``items.py``).
"""

from mimovl.curate.world.build import SOURCES, build_item
from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import Annotation, Split, Turn, WorldItem, is_heldout, key_hash, split_of
from mimovl.curate.world.samples import encode_clip, encode_image, to_questions, to_training_sample

__all__ = [
    "SOURCES",
    "Annotation",
    "Split",
    "Turn",
    "WorldConfig",
    "WorldItem",
    "build_item",
    "encode_clip",
    "encode_image",
    "is_heldout",
    "key_hash",
    "split_of",
    "to_questions",
    "to_training_sample",
]
