import xml.etree.ElementTree as ElementTree

from mimovl.curate.ocr.canvas import union
from mimovl.curate.ocr.tables import make_table
from tests.curate.ocr.drawing import draw


def test_the_html_holds_what_is_drawn_cell_by_cell() -> None:
    spans = 0
    for seed in range(40):
        canvas = draw(make_table, seed)
        (number,) = [n for n, block in enumerate(canvas.blocks) if block.role == "table"]
        root = ElementTree.fromstring(canvas.blocks[number].markup)
        written = [cell.text for row in root for cell in row]
        lines: dict[int, list[str]] = {}
        for one in canvas.elements:
            if one.block == number and one.text:
                lines.setdefault(one.line, []).append(one.text)
        assert [" ".join(words) for _, words in sorted(lines.items())] == written
        wide = {sum(int(cell.get("colspan", "1")) for cell in row) for row in root}
        assert len(wide) == 1
        spans += any(cell.get("colspan") for row in root for cell in row)
        assert {cell.tag for cell in root[0]} == {"th"} and len(root) >= 3
    assert 1 <= spans <= 25


def test_the_tables_box_is_its_frame_and_holds_every_cell() -> None:
    for seed in range(10):
        canvas = draw(make_table, seed)
        assert canvas.size[0] % 28 == 0 and canvas.size[1] % 28 == 0
        (number,) = [n for n, block in enumerate(canvas.blocks) if block.role == "table"]
        parts = [(one, box) for one, box in zip(canvas.elements, canvas.boxes(), strict=True) if one.block == number]
        frame = parts[0][1]
        assert parts[0][0].text == "" and frame is not None
        assert union([box for _, box in parts if box]) == frame
        assert frame[2] <= canvas.size[0] and frame[3] <= canvas.size[1]


def test_cells_stand_in_rows_and_columns() -> None:
    canvas = draw(make_table, 3)
    boxes = [
        box for one, box in zip(canvas.elements, canvas.boxes(), strict=True) if one.text and box and one.block == 1
    ]
    overlaps = [
        (a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :]
        if min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
    ]  # fmt: skip
    assert not overlaps
