"""What a recipe's model allows at a path: the models that may stand there, their defaults and meanings."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from mimovl.recipe_yaml import KeyPath

__all__ = ["default_at", "fill_section_defaults", "models_at", "nested_models", "undocumented_fields"]


def models_at(model_cls: type[BaseModel], values: Any, keys: KeyPath) -> list[type[BaseModel]]:
    """The models that may stand at ``keys``; of a union, those whose literal tags agree with ``values``."""
    annotations: list[Any] = [model_cls]
    for key in keys:
        annotations = [child for annotation in annotations for child in _children(annotation, key, values)]
        values = _get(values, key)
    models = [a for annotation in annotations for a in _alternatives(annotation) if _is_model(a)]
    return [model for model in models if _tags_agree(model, values)] or models


def default_at(model_cls: type[BaseModel], values: Any, keys: KeyPath) -> Any:
    """The default of the field at ``keys`` as plain values; ``{}`` where there is none or it is None."""
    for model in models_at(model_cls, values, keys[:-1]):
        info = model.model_fields.get(str(keys[-1]))
        default = _default(info) if info else None
        if default is not None:
            return to_jsonable_python(default)
    return {}


def fill_section_defaults(annotation: Any, values: Any) -> Any:
    """``values`` with each partly written section completed from the default its parent declares.

    Pydantic alone would complete it from the section class, so that writing one key of a section whose parent gives
    it a default of its own would silently change the others.
    """
    if isinstance(values, list):
        children = [next(_children(annotation, index, values), None) for index in range(len(values))]
        return [fill_section_defaults(child, item) for child, item in zip(children, values, strict=True)]
    models = [a for a in _alternatives(annotation) if _is_model(a)]
    models = [model for model in models if _tags_agree(model, values)]
    if not isinstance(values, dict) or len(models) != 1:
        return values
    filled = dict(values)
    for key, info in models[0].model_fields.items():
        if key in filled:
            filled[key] = fill_section_defaults(info.annotation, filled[key])
            default = _default(info)
            if isinstance(filled[key], dict) and isinstance(default, BaseModel):
                if [a for a in _alternatives(info.annotation) if _is_model(a)] == [type(default)]:
                    filled[key] = {**to_jsonable_python(default), **filled[key]}
    return filled


def nested_models(model_cls: type[BaseModel]) -> list[type[BaseModel]]:
    """``model_cls`` and every model reachable through its fields, each once."""
    found: list[type[BaseModel]] = []
    waiting: list[Any] = [model_cls]
    while waiting:
        annotation = waiting.pop(0)
        if _is_model(annotation):
            if annotation not in found:
                found.append(annotation)
                waiting += [info.annotation for info in annotation.model_fields.values()]
        else:
            waiting += [a for a in get_args(annotation) if get_origin(annotation) is not Literal]
    return found


def undocumented_fields(model_cls: type[BaseModel]) -> list[str]:
    """Fields without a meaning, as ``ClassName.field``; a recipe should have none."""
    return [
        f"{model.__name__}.{key}"
        for model in nested_models(model_cls)
        for key, info in model.model_fields.items()
        if not (info.description or "").strip()
    ]


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of unions and optionals; anything else is its own only alternative."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _children(annotation: Any, key: str | int, values: Any) -> Iterator[Any]:
    """The annotations of what stands under ``key``."""
    models = [a for a in _alternatives(annotation) if _is_model(a)]
    for model in [m for m in models if _tags_agree(m, values)] or models:
        if key in model.model_fields:
            yield model.model_fields[str(key)].annotation
    for alternative in _alternatives(annotation):
        origin, args = get_origin(alternative), get_args(alternative)
        if not args or not isinstance(origin, type):
            continue
        if issubclass(origin, Mapping):
            yield args[-1]
        elif issubclass(origin, Sequence) and isinstance(key, int):
            variadic = origin is not tuple or args[-1] is Ellipsis
            if variadic or key < len(args):
                yield args[0] if variadic else args[key]


def _tags_agree(model: type[BaseModel], values: Any) -> bool:
    """Whether no literal field of ``model`` contradicts ``values`` (which member of a union is meant)."""
    if not isinstance(values, dict):
        return True
    return all(
        values[key] in get_args(info.annotation)
        for key, info in model.model_fields.items()
        if get_origin(info.annotation) is Literal and isinstance(values.get(key), str | int)
    )


def _default(info: FieldInfo) -> Any:
    if info.default_factory is not None:
        try:
            return info.get_default(call_default_factory=True, validated_data={})
        except KeyError:  # a factory that needs sibling values
            return None
    return None if info.default is PydanticUndefined else info.default


def _get(values: Any, key: str | int) -> Any:
    if isinstance(values, dict):
        return values.get(key)
    return values[key] if isinstance(values, list) and isinstance(key, int) and key < len(values) else None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
