"""Pure graders: (completion, gold) → Verdict, one small file a kind; the same code rewards and scores.

Example:
    >>> from mimovl.verify import grade
    >>> grade("count", "<think>one, two, three</think>There are 3 circles.", 3).score
    1.0
"""

from mimovl.verify.box import box_giou, box_iou, verify_box
from mimovl.verify.choice import verify_choice
from mimovl.verify.count import read_count, verify_count
from mimovl.verify.dispatch import KINDS, grade
from mimovl.verify.edit_distance import edit_distance, edit_similarity
from mimovl.verify.math import verify_math
from mimovl.verify.number import verify_number
from mimovl.verify.point import verify_point
from mimovl.verify.span import span_iou, verify_span
from mimovl.verify.text import verify_text

__all__ = [
    "KINDS",
    "box_giou",
    "box_iou",
    "edit_distance",
    "edit_similarity",
    "grade",
    "read_count",
    "span_iou",
    "verify_box",
    "verify_choice",
    "verify_count",
    "verify_math",
    "verify_number",
    "verify_point",
    "verify_span",
    "verify_text",
]
