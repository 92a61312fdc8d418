from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mimovl.report.geometry import Geometry
from mimovl.report.overlay import clip_overlay, draw, picture_overlay
from mimovl.report.pictures import Embedded, Pictures

PICTURE = Embedded("data:image/png;base64,AAAA", 112, 84, seen=(112, 84))
CLIP = Embedded("data:image/png;base64,AAAA", 672, 56, seconds=10.0)
TRUTH = Geometry(boxes=((10, 10, 50, 50),))


def shapes(svg: str, css: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.get("class") == css]


def test_said_is_drawn_over_true_in_pixels_of_the_picture() -> None:
    svg = picture_overlay(PICTURE, (112, 84), TRUTH, [(Geometry(boxes=((12, 11, 48, 52),)), "said")], "Grounding")
    assert ET.fromstring(svg).get("viewBox") == "0 0 112 84"
    (truth,), (said,) = shapes(svg, "truth"), shapes(svg, "said")
    assert (truth.get("x"), truth.get("width")) == ("10.0", "40.0")
    assert (said.get("x"), said.get("height")) == ("12.0", "41.0")
    assert svg.index('class="truth"') < svg.index('class="said"')


def test_coordinates_are_of_the_picture_as_the_model_saw_it() -> None:
    svg = picture_overlay(PICTURE, (224, 168), TRUTH, [], "Grounding")
    assert ET.fromstring(svg).get("viewBox") == "0 0 224 168"
    assert 'preserveAspectRatio="none"' in svg


@pytest.mark.parametrize(
    ("said", "expected"),
    [((640, 480), "0 0 504 392"), ((448, 336), "0 0 448 336"), ((None, 3), "0 0 504 392")],
)
def test_the_size_of_the_file_is_not_taken_for_the_size_the_model_saw(
    said: tuple[object, object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = Embedded("data:image/jpeg;base64,AAAA", 640, 480, seen=(504, 392))
    pictures = Pictures([])
    monkeypatch.setattr(pictures, "embed", lambda sample_id, names: photo)
    line = {"media": ["x"], "width": said[0], "height": said[1]}
    markup = draw(pictures, line, "s", TRUTH, [], "t").markup
    assert markup is not None and ET.fromstring(markup).get("viewBox") == expected


def test_shapes_outside_the_picture_are_drawn_at_its_border() -> None:
    said = Geometry(boxes=((-50, 0, 1e6, 20),), points=((500, -3),))
    svg = picture_overlay(PICTURE, (112, 84), TRUTH, [(said, "said wrong")], "x")
    rect = next(element for element in shapes(svg, "said wrong") if element.tag == "rect")
    assert (rect.get("x"), rect.get("width")) == ("0.0", "112.0")
    ring = next(element for element in shapes(svg, "said wrong") if element.tag == "circle")
    assert (ring.get("cx"), ring.get("cy")) == ("112.0", "0.0")


def test_spans_are_bars_under_the_frames() -> None:
    html = clip_overlay(CLIP, Geometry(span=(3, 7)), [(Geometry(span=(2, 20)), "said wrong")], "Clip")
    assert 'class="bar truth"><i style="left:30.00%;width:40.00%"' in html
    assert 'class="bar said wrong"><i style="left:20.00%;width:80.00%"' in html
    assert "<span>5 s</span>" in html


def test_a_clip_that_nothing_points_at_has_no_axis() -> None:
    assert "times" not in clip_overlay(CLIP, Geometry(), [], "Clip")


def test_titles_are_escaped() -> None:
    hostile = '"></title><script>alert(1)</script>'
    assert "<script>" not in picture_overlay(PICTURE, (1, 1), TRUTH, [], hostile)
    assert "<script>" not in clip_overlay(CLIP, TRUTH, [], hostile)


def test_a_line_whose_media_is_nonsense_has_no_picture(tmp_path: Path) -> None:
    pictures = Pictures([tmp_path])
    assert not draw(pictures, {"media": 7}, "x", TRUTH, [], "t").missing
    assert draw(pictures, {"media": ["a", 3]}, "x", TRUTH, [], "t").missing
