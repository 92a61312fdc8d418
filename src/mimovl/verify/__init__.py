"""Pure graders: (completion, gold) → Verdict, one small file a kind; the same code rewards and scores.

    grade(kind, completion, gold, mode)       one completion
    grade_many([Item(kind, completion, gold)])  many, what rules leave open asked all at once

Modes are named: "strict", ours; "mimo_compat", the rules of the paper's suite. ``mimovl verify audit FILE`` measures
the graders on anybody's labelled answers.

Example:
    >>> from mimovl.verify import grade
    >>> grade("count", "<think>one, two, three</think>There are 3 circles.", 3).score
    1.0
"""

from mimovl.verify.action import verify_action
from mimovl.verify.box import box_giou, box_iou, giou_to_unit, verify_box
from mimovl.verify.choice import verify_choice
from mimovl.verify.count import read_count, verify_count
from mimovl.verify.dispatch import KINDS, MODES, GradeMode, Item, grade, grade_many
from mimovl.verify.edit_distance import edit_distance, edit_similarity
from mimovl.verify.form import verify_form
from mimovl.verify.json_value import verify_json
from mimovl.verify.judge import Judge, generate_judge
from mimovl.verify.length import verify_length
from mimovl.verify.math import verify_math
from mimovl.verify.number import verify_number
from mimovl.verify.point import verify_point
from mimovl.verify.repetition import repeated_share, verify_repetition
from mimovl.verify.span import span_iou, verify_span
from mimovl.verify.text import verify_text

__all__ = [
    "KINDS",
    "MODES",
    "GradeMode",
    "Item",
    "Judge",
    "box_giou",
    "box_iou",
    "edit_distance",
    "edit_similarity",
    "generate_judge",
    "giou_to_unit",
    "grade",
    "grade_many",
    "read_count",
    "repeated_share",
    "span_iou",
    "verify_action",
    "verify_box",
    "verify_choice",
    "verify_count",
    "verify_form",
    "verify_json",
    "verify_length",
    "verify_math",
    "verify_number",
    "verify_point",
    "verify_repetition",
    "verify_span",
    "verify_text",
]
