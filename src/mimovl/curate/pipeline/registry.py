"""Steps and readers by the names a recipe calls them; a class of one's own is named by its place instead.

    steps:
      - {step: deduplicate}
      - {step: "examples/add_a_filter.py:NotTooShort", words: 3}     or package.module:NotTooShort

Only what a recipe names is imported, so a pipeline needs no library that its steps do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union

from pydantic import Field, create_model

from mimovl.curate.step import Reader, Step, WholeStep
from mimovl.errors import UsageError
from mimovl.load_object import load_object
from mimovl.suggest import nearest

__all__ = ["READERS", "STEPS", "choice", "real"]

STEPS: dict[str, str] = {
    "ask_objects": "mimovl.curate.ask_objects:AskObjects",
    "balance": "mimovl.curate.caption:Balance",
    "caption_language": "mimovl.curate.caption:CaptionLanguage",
    "caption_repetition": "mimovl.curate.caption:CaptionRepetition",
    "caption_text": "mimovl.curate.caption:CaptionText",
    "check_boxes": "mimovl.curate.grounding.steps:CheckBoxes",
    "check_pictures": "mimovl.curate.picture_steps:CheckPictures",
    "cut_documents": "mimovl.curate.interleaved.cut:CutDocuments",
    "decontaminate": "mimovl.curate.leaks:Decontaminate",
    "decorative_pictures": "mimovl.curate.interleaved.pictures:DecorativePictures",
    "deduplicate": "mimovl.curate.deduplicate:Deduplicate",
    "ground": "mimovl.curate.grounding.steps:Ground",
    "hash_pictures": "mimovl.curate.picture_steps:HashPictures",
    "knowledge_type": "mimovl.curate.interleaved.knowledge:KnowledgeType",
    "pair_scores": "mimovl.curate.interleaved.pair_scores:PairScoresStep",
    "picture_duplicates": "mimovl.curate.caption:PictureDuplicates",
    "picture_filter": "mimovl.curate.interleaved.pictures:PictureFilter",
    "recaption": "mimovl.curate.caption:Recaption",
    "text_duplicates": "mimovl.curate.caption:TextDuplicates",
    "text_scores": "mimovl.curate.interleaved.text_scores:TextScoresStep",
}
"""Name of a step → its class."""

READERS: dict[str, str] = {
    "coco": "mimovl.curate.readers.coco:Coco",
    "dataset": "mimovl.curate.readers.folder:DatasetFolder",
    "epub": "mimovl.curate.readers.epub:EpubReader",
    "html": "mimovl.curate.readers.html:HtmlReader",
    "images": "mimovl.curate.readers.images:Images",
    "jsonl": "mimovl.curate.readers.json_lines:JsonLines",
    "llava": "mimovl.curate.readers.llava:Llava",
    "ocr_pages": "mimovl.curate.ocr.reader:OcrPages",
    "parquet": "mimovl.curate.readers.parquet:Parquet",
    "pdf": "mimovl.curate.readers.pdf:PdfReader",
    "voc": "mimovl.curate.readers.voc_reader:Voc",
    "webdataset": "mimovl.curate.readers.webdataset:WebDataset",
}
"""Name of a reader → its class."""


def choice(key: Literal["step", "reader"], names: Iterable[str]) -> Any:
    """The type of a recipe's entry that may be any of the named classes, told apart by ``key``.

    Raises:
        UsageError: a name is neither known nor a place, or what is there is no step or reader; ``field`` of it is the
            name.
    """
    known: Mapping[str, str] = STEPS if key == "step" else READERS
    models: list[Any] = []
    for name in dict.fromkeys(names):
        if name not in known and ":" not in name:
            listed = ", ".join(known)
            raise UsageError(
                f"unknown {key} {name!r}{nearest(name, list(known))}; there are {listed}, or write "
                "package.module:Class or file.py:Class"
            )
        kind: Any = load_object(known.get(name, name), f"{key} {name}")
        wanted: tuple[type, ...] = (Step, WholeStep) if key == "step" else (Reader,)
        if not (isinstance(kind, type) and issubclass(kind, wanted)):
            bases = " or ".join(one.__name__ for one in wanted)
            raise UsageError(f"{key} {name}: it is no class derived from {bases} of mimovl.curate.step")
        if name in known:
            models.append(kind)
        else:
            tag: Any = (Literal[name], Field(description="Where its class is."))
            make: Any = create_model
            models.append(make(kind.__name__, __base__=kind, __doc__=kind.__doc__, **{key: tag}))
    if not models:
        return Step if key == "step" else Reader
    return Annotated[Union[tuple(models)], Field(discriminator=key)] if len(models) > 1 else models[0]  # noqa: UP007


def real(entry: Any, key: Literal["step", "reader"]) -> Any:
    """The step or reader of an entry: of its own class, where ``choice`` put another around it."""
    name = getattr(entry, key)
    if ":" not in name:
        return entry
    kind: Any = type(entry).__mro__[1]
    return kind.model_validate({field: value for field, value in dict(entry).items() if field != key})
