r"""Grade boxes: IoU, GIoU (Rezatofighi et al. 2019) or accuracy at a threshold, matched one to one.

MiMo-VL rewards grounding with GIoU(pred, gt) (§3.1), mapped to [0,1] by ``giou_to_unit``. Boxes are [x1,y1,x2,y2] in
absolute pixels of the smart-resized picture (§2.2.3). Read are the ``bbox_2d`` lists of an answer, or its bare lists of
four numbers when it has none; never those of the thought. A box without area, or with NaN, infinite or absurd
coordinates, is wrong, not an error.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import Answer, no_answer, plain, read_answer, to_ascii, verdict

__all__ = ["Box", "BoxMetric", "box_giou", "box_iou", "gold_boxes", "match_boxes", "read_boxes", "verify_box"]

Box = tuple[float, float, float, float]
BoxMetric = Literal["giou", "iou", "accuracy"]

MAX_COORDINATE = 1e6
MAX_CHARS = 100_000
MAX_NUMBER_CHARS = 40


def verify_box(text: str, gold: Any, *, metric: BoxMetric = "giou", threshold: float = 0.5) -> Verdict:
    """Score the boxes of an answer against the gold boxes.

    Boxes are paired one to one so that the sum of the metric is largest (Hungarian method); a box left over on either
    side counts 0, so the score is that sum over the larger number of boxes.

    Args:
        text: the answer, without the thought.
        gold: one box, or a list of boxes.
        metric: "giou", mapped to (GIoU + 1) / 2; "iou"; or "accuracy", 1 when every box of both sides has a partner at
            IoU ≥ threshold, else 0.
        threshold: the IoU from which a box is right. CORRECT means that every pair reaches it and none is left over.

    Raises:
        DataError: the gold is not a box or list of boxes, or the metric is unknown.
    """
    if metric not in ("giou", "iou", "accuracy"):
        raise DataError(f"unknown box metric {metric!r}; choose 'giou', 'iou' or 'accuracy'")
    expected = gold_boxes(gold)
    answer = read_answer(text)
    given = read_boxes(answer) if answer else []
    if not given:
        return no_answer("no box")
    shown = "[" + ",".join("invalid" if box is None else f"[{','.join(f'{x:g}' for x in box)}]" for box in given) + "]"
    if len(given) > max_boxes(len(expected)):
        return verdict(0.0, correct=False, answer=shown, rule="too many boxes")
    most = max(len(given), len(expected))
    all_right = sum(match_boxes(given, expected, threshold=threshold)) == most
    score = float(all_right) if metric == "accuracy" else sum(match_boxes(given, expected, metric=metric)) / most
    return verdict(score, correct=all_right, answer=shown, rule=metric)


def max_boxes(num_gold: int) -> int:
    """How many boxes may be given for so many gold ones; a longer rain of boxes is not graded box by box."""
    return 10 * num_gold + 100


# ---------------------------------------------------------------- reading

_KEYED = re.compile(r"[\"'](?:bbox_2d|bbox|box_2d|box)[\"']\s*:\s*\[([^\[\]]*)\]?")
_BARE = re.compile(r"\[([^\[\]]*)\]")
_ROUND = re.compile(r"\(([^()\[\]]*)\)")
_CORNERS = re.compile(r"\[\s*\[([^\[\],]*,[^\[\],]*)\]\s*,\s*\[([^\[\],]*,[^\[\],]*)\]\s*\]")
_NAMED = re.compile(
    r"x_?1\s?[=:]\s?(-?\d{1,7}(?:\.\d{1,9})?)[\s,;]{1,9}y_?1\s?[=:]\s?(-?\d{1,7}(?:\.\d{1,9})?)[\s,;]{1,9}"
    r"x_?2\s?[=:]\s?(-?\d{1,7}(?:\.\d{1,9})?)[\s,;]{1,9}y_?2\s?[=:]\s?(-?\d{1,7}(?:\.\d{1,9})?)",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(
    r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII
)


def read_boxes(answer: Answer) -> list[Box | None]:
    """The boxes of an answer in order; None stands for one that is there but is not a usable box."""
    text = to_ascii(plain(answer.text[-MAX_CHARS:]))
    keyed = [read_numbers(match[1]) for match in _KEYED.finditer(text)]
    if keyed:
        return [_box(numbers) for numbers in keyed]
    corners = _CORNERS.fullmatch(text.strip(" .\n"))
    if corners:
        return [_box(read_numbers(f"{corners[1]},{corners[2]}"))]
    bare = [read_numbers(match[1]) for match in _BARE.finditer(text)]
    boxes = [_box(numbers) for numbers in bare if numbers is not None and len(numbers) == 4]
    if not boxes:
        round_ones = (read_numbers(match[1]) for match in _ROUND.finditer(text))
        boxes = [_box(numbers) for numbers in round_ones if numbers is not None and len(numbers) == 4]
    named = _NAMED.search(text) if not boxes else None
    if named:
        boxes = [_box([float(number) for number in named.groups()])]
    if not boxes and (numbers := read_numbers(text.strip("()[]. \n"))) is not None and len(numbers) == 4:
        boxes = [_box(numbers)]
    return boxes


def read_numbers(text: str) -> list[float] | None:
    """Numbers between commas, or spaces, that fill the whole text, else None; one that overflows is infinite."""
    parts = [part.strip() for part in text.split(",", 9)] if "," in text else text.split(None, 9)
    if not parts or any(len(part) > MAX_NUMBER_CHARS and not part.isascii() for part in parts):
        return None
    if not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    return [math.inf if len(part) > MAX_NUMBER_CHARS else float(part) for part in parts]


def _box(numbers: Sequence[float] | None) -> Box | None:
    if numbers is None or len(numbers) != 4 or not all(abs(number) <= MAX_COORDINATE for number in numbers):
        return None  # a comparison with NaN is false
    x1, y1, x2, y2 = numbers
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def gold_boxes(gold: Any) -> list[Box]:
    """Read a gold box or list of boxes.

    Raises:
        DataError: it is none, or a box has no area.
    """
    try:
        rows = list(gold)
        nested = [rows] if rows and isinstance(rows[0], numbers.Real) else rows
        boxes = [_box([float(number) for number in row]) for row in nested]
    except (TypeError, ValueError):
        boxes = []
    valid = [box for box in boxes if box is not None]
    if not valid or len(valid) != len(boxes):
        raise DataError(
            f"gold answer {str(gold)[:80]!r} is not a box with x1 < x2 and y1 < y2, nor a list of such boxes; "
            "give [x1,y1,x2,y2] in pixels"
        )
    return valid


# ---------------------------------------------------------------- measuring


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes with area, in [0, 1]."""
    return _overlap(first, second)[0]


def box_giou(first: Box, second: Box) -> float:
    """Generalised IoU: IoU − (enclosing − union) / enclosing, in (−1, 1]."""
    iou, union = _overlap(first, second)
    enclosing = (max(first[2], second[2]) - min(first[0], second[0])) * (
        max(first[3], second[3]) - min(first[1], second[1])
    )
    return iou - (enclosing - union) / enclosing


def giou_to_unit(giou: Any) -> Any:
    """GIoU in (−1, 1] → [0, 1], the one place where it is mapped: (GIoU + 1) / 2.

    The report rewards GIoU (§3.1) and says that rewards lie in [0, 1] (§3.3), not how. This map is linear, gives boxes
    that only touch one half, and still tells near misses from far ones, which cutting at 0 would not.
    """
    return (giou + 1) / 2


def unit_giou(first: Box, second: Box) -> float:
    """GIoU of two boxes, mapped to [0, 1]."""
    return float(giou_to_unit(box_giou(first, second)))


def _overlap(first: Box, second: Box) -> tuple[float, float]:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    intersection = width * height if width > 0 and height > 0 else 0.0
    areas = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1])
    union = areas - intersection
    return intersection / union, union


def match_boxes(
    given: Sequence[Box | None],
    gold: Sequence[Box],
    *,
    metric: Literal["iou", "giou"] = "iou",
    threshold: float | None = None,
) -> list[float]:
    """For each gold box the metric to its partner, 0 without one.

    Partners are chosen one to one so that the sum is largest. ``giou`` is mapped to [0, 1]; with a ``threshold`` a pair
    counts 1 from there on and 0 below, so the sum is the largest number of right pairs. An unusable given box (None) is
    nobody's partner.
    """
    if len(given) == 1 and len(gold) == 1:
        [first], [second] = given, gold
        value = 0.0 if first is None else box_iou(first, second) if metric == "iou" else unit_giou(first, second)
        return [value if threshold is None else float(first is not None and value >= threshold)]
    matrix = similarity_matrix(given, gold, metric=metric)
    if threshold is not None:
        matrix = (matrix >= threshold).astype(np.float64) * np.array([box is not None for box in given])
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    partners = np.zeros(len(gold))
    partners[rows] = matrix[rows, columns]
    return [float(value) for value in partners]


def similarity_matrix(
    given: Sequence[Box | None], gold: Sequence[Box], *, metric: Literal["iou", "giou"] = "iou"
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The metric of every gold box with every given box, shape (gold, given); 0 for an unusable one."""
    # One array of shape (4, n) a side, so that every operation runs along contiguous memory.
    second = np.array(gold, dtype=np.float64).reshape(-1, 4).T[:, :, None]
    usable = np.array([box is not None for box in given])
    first = np.array([box or (0, 0, 1, 1) for box in given], dtype=np.float64).reshape(-1, 4).T[:, None, :]
    width = np.minimum(first[2], second[2]) - np.maximum(first[0], second[0])
    height = np.minimum(first[3], second[3]) - np.maximum(first[1], second[1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1]) - shared
    result = shared / union
    if metric == "giou":
        enclosing = (np.maximum(first[2], second[2]) - np.minimum(first[0], second[0])) * (
            np.maximum(first[3], second[3]) - np.minimum(first[1], second[1])
        )
        result = giou_to_unit(result - (enclosing - union) / enclosing)
    return np.asarray(result * usable, dtype=np.float64)
