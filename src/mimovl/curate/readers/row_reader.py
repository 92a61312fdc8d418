"""What the readers of tables share: fields of a recipe, and a row as a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimovl.curate.readers.media import MediaReader
from mimovl.curate.readers.rows import row_to_record
from mimovl.curate.step import Dropped
from mimovl.types import Sample

__all__ = ["RowReader"]


class RowReader(MediaReader):
    """A reader of tables, see ``readers.rows`` for what they may hold."""

    path: str
    """A file, a folder searched through, or a pattern with ``*``."""
    text_key: str = ""
    """Column of the caption; unset: caption, text, txt, description or alt, or a conversation."""
    image_key: str = ""
    """Column of the picture or pictures; unset: the usual names."""
    needs_text: bool = True
    """Drop what has a picture and no text; false keeps it, to be captioned."""
    source: str = ""
    """``Sample.source`` where a row says none; unset: the reader's name."""
    task: str = ""
    """``Sample.task`` where a row says none."""

    def record(self, row: Any, name: str, folder: Path) -> tuple[str, Sample | Dropped]:
        """A row's id, and the sample or why there is none.

        Args:
            row: the table.
            name: its id where it says none.
            folder: of the file that holds it.
        """
        return row_to_record(
            row,
            name,
            lambda value, label: self.picture(value, folder, label),
            source=self.source or str(getattr(self, "reader", "")),
            task=self.task,
            text_key=self.text_key,
            image_key=self.image_key,
            needs_text=self.needs_text,
        )
