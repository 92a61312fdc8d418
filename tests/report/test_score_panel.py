from __future__ import annotations

import xml.etree.ElementTree as ET

from mimovl.report.score_panel import ScorePoint, score_panel

POINTS = [
    ScorePoint(0, "no_think", 0.5, 0.4, 0.6, 100),
    ScorePoint(0, "thinking", 0.4, 0.3, 0.5, 100),
    ScorePoint(1, "no_think", 0.9, 0.8, 1.2, 100),
    ScorePoint(1, "thinking", 0.8, 0.7, 0.9, 100),
]


def test_each_score_is_drawn_with_its_interval_and_said_in_words() -> None:
    panel = score_panel("Counting", ["4", "MORL"], POINTS, "t-counting")
    assert panel is not None
    marks = [group for group in ET.fromstring(panel).findall("g")]
    hints = [group.findtext("title", "").replace("\u202f", " ") for group in marks]
    assert "MORL, thinking: 80.0 % (70.0 % to 90.0 %, n = 100)" in hints
    assert len(hints) == 4
    assert {group.get("class") for group in marks} == {"mark hollow t-counting", "mark solid t-counting"}


def test_the_title_gives_each_mode_its_own_last_score() -> None:
    panel = score_panel("Counting", ["4", "MORL"], POINTS, "t-counting")
    assert panel is not None
    title = ET.fromstring(panel).findtext("title", "").replace("\u202f", " ")
    assert title == "Counting by checkpoint, last: not thinking 90.0 %; thinking 80.0 %"


def test_an_interval_beyond_the_axis_is_cut_at_it() -> None:
    panel = score_panel("Counting", ["4", "MORL"], POINTS, "t-counting")
    assert panel is not None
    tops = [
        float(line.get("y2", "nan")) for line in ET.fromstring(panel).iter("line") if line.get("class") == "whisker"
    ]
    assert min(tops) >= 10


def test_no_scores_are_no_panel() -> None:
    assert score_panel("Counting", ["4"], [], "t-counting") is None
