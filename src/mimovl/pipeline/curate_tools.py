"""What a recipe's steps may ask for in a worker: models are imported and loaded when a step asks, and not before.

Every worker imports this file, and most need neither the engine nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mimovl.curate.pipeline.tools import PlainTools
from mimovl.types import Generate

__all__ = ["make_tools"]


def make_tools(cache: Path, seed: int, models: Mapping[str, Mapping[str, Any]]) -> PlainTools:
    """A process's tools.

    Args:
        cache: folder for what is dear to make again.
        seed: the recipe's.
        models: the fields of a ``ModelSource`` by the model's name.
    """
    return PlainTools(cache, seed, {name: partial(_model, dict(source), name) for name, source in models.items()})


def _model(source: dict[str, Any], name: str) -> Generate:
    from mimovl.pipeline.collect import LazyModel
    from mimovl.pipeline.collect_config import ModelSource

    return LazyModel(ModelSource(**source), f"models.{name}")
