from __future__ import annotations

import xml.etree.ElementTree as ET

from mimovl.report.chart import Band, Series, line_chart

CURVE = [(float(step), 1 / step) for step in range(1, 101)]


def drawn(**more: object) -> ET.Element:
    chart = line_chart("Loss", [Series("loss", CURVE, "t-ocr")], **more)  # type: ignore[arg-type]
    assert chart is not None
    return ET.fromstring(chart)


def test_nothing_to_draw_is_no_chart() -> None:
    assert line_chart("Loss", []) is None
    assert line_chart("Loss", [Series("loss", [])]) is None
    assert line_chart("Gap", [Series("gap", [(1.0, 0.0)])], log=True) is None


def test_a_chart_says_what_it_shows_to_those_who_cannot_see_it() -> None:
    chart = drawn()
    assert chart.get("role") == "img"
    title = chart.find("title")
    assert title is not None and title.text is not None
    assert title.text.startswith("Loss. loss: 0.")


def test_raw_points_stay_beside_the_smoothed_curve_and_its_last_value() -> None:
    chart = drawn()
    classes = [line.get("class") for line in chart.findall("polyline")]
    assert classes == ["raw t-ocr", "curve t-ocr"]
    assert [text.text for text in chart.findall("text") if text.get("class") == "end"] == ["0.0101"]


def test_every_stage_is_a_piece_of_its_own() -> None:
    chart = drawn(bands=[Band("1", 0, 50), Band("2", 50, 100)])
    assert [line.get("class") for line in chart.findall("polyline")].count("curve t-ocr") == 2
    assert {"1", "2"} <= {text.text for text in chart.findall("text")}


def test_the_reference_line_is_inside_the_chart() -> None:
    chart = drawn(log=True, reference=(1e-5, "limit"))
    line = next(line for line in chart.findall("line") if line.get("class") == "reference")
    assert 0 < float(line.get("y1", "nan")) < 164


def test_one_point_is_a_dot() -> None:
    chart = line_chart("Loss", [Series("loss", [(1.0, 2.0)])])
    assert chart is not None and "<circle" in chart


def test_labels_at_the_end_do_not_overlap() -> None:
    chart = line_chart("Both", [Series("a", [(0.0, 1.0), (1.0, 1.0)]), Series("b", [(0.0, 1.0), (1.0, 1.001)])])
    assert chart is not None
    ends = [float(text.get("y", 0)) for text in ET.fromstring(chart).findall("text") if text.get("class") == "end"]
    assert abs(ends[0] - ends[1]) >= 11


def test_titles_are_escaped() -> None:
    chart = line_chart("<b>&", [Series('"><script>', CURVE)])
    assert chart is not None
    assert "<script>" not in chart and "<b>" not in chart
    ET.fromstring(chart)
