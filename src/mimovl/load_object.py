"""What a recipe names as ``package.module:thing`` or ``file.py:thing``, imported."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from typing import Any, cast

from mimovl.errors import UsageError
from mimovl.suggest import nearest

__all__ = ["load_object"]


def load_object(name: str, field: str) -> Callable[..., Any]:
    """Import what ``package.module:function`` or ``file.py:function`` names.

    Raises:
        UsageError: it is not there; names ``field``.
    """
    source, colon, attribute = name.rpartition(":")
    if not colon or not source or not attribute:
        raise UsageError(f"{field}: write {name!r} as package.module:function or file.py:function")
    try:
        if source.endswith(".py"):
            module_name = "mimovl_file" + re.sub(r"\W", "_", source)
            spec = importlib.util.spec_from_file_location(module_name, source)
            assert spec is not None and spec.loader is not None
            module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(source)
    except FileNotFoundError:
        raise UsageError(f"{field}: no such file {source}") from None
    except Exception as error:  # whatever the user's module raises while it is imported
        raise UsageError(f"{field}: {source} cannot be imported ({type(error).__name__}: {error})") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        public = [word for word in vars(module) if not word.startswith("_")]
        raise UsageError(f"{field}: {source} has no function {attribute!r}{nearest(attribute, public)}")
    return cast(Callable[..., Any], found)
