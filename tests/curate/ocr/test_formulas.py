import importlib.util
import random

import numpy as np
import pytest

from mimovl.curate.ocr.formulas import draw_formula, make_formulas, require_matplotlib, some_formula
from mimovl.errors import MissingExtraError
from tests.curate.ocr.drawing import Recorder, draw, extent

needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs mimovl[ocr]")


@needs_matplotlib
def test_every_formula_of_the_grammar_can_be_drawn() -> None:
    seen = set()
    for seed in range(60):
        latex = some_formula(random.Random(seed))
        mask = draw_formula(latex, 24, ("cm", "stix")[seed % 2])
        assert mask.getbbox() == (0, 0, *mask.size) and max(mask.size) < 1200
        seen.add(latex)
    assert len(seen) == 60
    assert all(any(part in latex for latex in seen) for part in (r"\frac", r"\sqrt", r"\sum", r"\int", "^", "_"))


@needs_matplotlib
def test_the_box_of_a_formula_is_its_ink_within_one_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(4):
        recorder = Recorder(monkeypatch)
        canvas = draw(make_formulas, seed)
        for element, box in zip(canvas.elements, canvas.boxes(), strict=True):
            alone = extent(recorder.alone(element, canvas.size))
            assert box is not None and alone is not None and np.abs(np.subtract(box, alone)).max() <= 1, element


@needs_matplotlib
def test_a_formula_is_one_element_and_its_block_knows_its_latex() -> None:
    canvas = draw(make_formulas, 2)
    formulas = [(n, block) for n, block in enumerate(canvas.blocks) if block.role == "formula"]
    assert formulas and canvas.size[0] % 28 == 0 and canvas.size[1] % 28 == 0
    for number, block in formulas:
        (element,) = [one for one in canvas.elements if one.block == number]
        assert element.text == block.markup


def test_braces_and_delimiters_are_balanced() -> None:
    for seed in range(300):
        latex = some_formula(random.Random(seed))
        assert latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")


def test_without_matplotlib_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mimovl\[ocr\]'"):
        require_matplotlib()
