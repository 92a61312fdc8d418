"""Whether a sample's text and its pictures belong together: checked when data is written and when it is read.

The most frequent complaint of people who train such models is a number of image tokens that is not the number of
image features. It begins here: a placeholder typed as text, or a picture no message shows.
"""

from __future__ import annotations

from mimovl.errors import DataError
from mimovl.types import Sample

__all__ = ["check_media"]

PLACEHOLDERS = {"image": "<|image_pad|>", "video": "<|video_pad|>"}


def check_media(sample: Sample) -> None:
    """Refuse a sample whose placeholders are not its pictures.

    Raises:
        DataError: a placeholder is written as text, or a picture is in no message; names the sample and both numbers.
    """
    parts = [part for message in sample.messages for part in message.content]
    shown = {part.media for part in parts if part.type != "text"}
    for kind, token in PLACEHOLDERS.items():
        held = [key for key, media in sample.media.items() if media.kind == kind]
        if written := sum(part.text.count(token) for part in parts if part.type == "text"):
            raise DataError(
                f"sample {sample.id}: its text contains {token}, which only the chat template may write: {written} of "
                f"them for {len(held)} {kind}s; take them out, and put pictures in as parts of their own"
            )
        if len(used := shown.intersection(held)) != len(held):
            raise DataError(
                f"sample {sample.id}: its messages show {len(used)} of the {len(held)} {kind}s it holds; "
                f"name each in a message, or leave it out of the sample"
            )
