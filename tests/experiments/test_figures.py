from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from experiments.figures import Curve, curves, dots, page
from experiments.intervals import interval

LOW, HIGH = interval([[0.2, 0.3], [0.1, 0.4]]), interval([[0.8, 0.9], [0.7, 1.0]])
SPACE = "{http://www.w3.org/2000/svg}"


def test_a_higher_value_stands_higher() -> None:
    root = ElementTree.fromstring(dots("Scores", ["a"], [("x", [LOW]), ("y", [HIGH])], y_label="reward"))
    large = [float(one.get("cy")) for one in root.iter(f"{SPACE}circle") if one.get("r") == "4"]
    whiskers = [one for one in root.iter(f"{SPACE}line") if one.get("stroke")]
    assert large[0] > large[2] and len(whiskers) == 2  # each dot is followed by the one of its legend
    for line, at in zip(whiskers, large[::2], strict=True):
        assert float(line.get("y2")) <= at <= float(line.get("y1"))


def test_curves_have_a_line_a_band_and_a_name_and_escape_it() -> None:
    text = curves("A & B", [Curve("<one>", [(0, LOW), (10, HIGH)])], x_label="rollouts", y_label="reward")
    root = ElementTree.fromstring(text)
    assert len(list(root.iter(f"{SPACE}polyline"))) == len(list(root.iter(f"{SPACE}polygon"))) == 1
    assert "<one>" in [one.text for one in root.iter(f"{SPACE}text")]


def test_the_page_holds_figures_and_table(tmp_path: Path) -> None:
    figure = curves("A", [Curve("one", [(0, LOW), (10, HIGH)])], x_label="x", y_label="y")
    page("Title", "Lede & more", [figure], [["a", "b"], ["1", "<2>"]], tmp_path / "new" / "index.html")
    text = (tmp_path / "new" / "index.html").read_text()
    assert figure in text and "Lede &amp; more" in text and "&lt;2&gt;" in text
    assert (tmp_path / "new" / "figure-1.svg").read_text() == figure
