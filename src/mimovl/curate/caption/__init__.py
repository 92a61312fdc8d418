"""Captions (MiMo-VL §2.2.1), from aggregated web text to a balanced set.

The steps, in the order of the report:

    caption_text        no file names, placeholders, addresses                  junk
    text_duplicates     of one text, so many captions stay                      text_groups
    picture_duplicates  of one picture, one caption stays                       near_duplicates
    recaption           each described anew from picture and raw text           answers
    caption_language    one language throughout                                 language
    caption_repetition  no loops                                                repetition
    balance             what is common is thinned out                           matching, metadata

Each is a ``Step`` or ``WholeStep``; all but the two that look at pictures see texts alone.
"""

from mimovl.curate.caption.balance import Balance
from mimovl.curate.caption.duplicates import PictureDuplicates, TextDuplicates
from mimovl.curate.caption.filters import CaptionLanguage, CaptionRepetition, CaptionText
from mimovl.curate.caption.language import tell_language
from mimovl.curate.caption.matching import Matcher
from mimovl.curate.caption.metadata import MetadataSettings, build_metadata
from mimovl.curate.caption.metadata_file import read_metadata
from mimovl.curate.caption.recaption import Recaption
from mimovl.curate.caption.repetition import find_loop

__all__ = [
    "Balance",
    "CaptionLanguage",
    "CaptionRepetition",
    "CaptionText",
    "Matcher",
    "MetadataSettings",
    "PictureDuplicates",
    "Recaption",
    "TextDuplicates",
    "build_metadata",
    "find_loop",
    "read_metadata",
    "tell_language",
]
