import numpy as np

from mimovl.curate.ocr.scenes import make_package, make_scene
from tests.curate.ocr.drawing import draw, needs_chinese


def test_signs_are_whole_readable_and_apart() -> None:
    for seed in range(8):
        canvas = draw(make_scene, seed)
        boxes = canvas.boxes()
        assert canvas.elements and all(box is not None for box in boxes)
        for block in range(len(canvas.blocks)):
            own = [box for one, box in zip(canvas.elements, boxes, strict=True) if one.block == block and box]
            rest = [box for one, box in zip(canvas.elements, boxes, strict=True) if one.block != block and box]
            assert own and not any(
                min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1]) for a in own for b in rest
            )
        assert all(
            0 < box[0] and 0 < box[1] and box[2] < canvas.size[0] and box[3] < canvas.size[1] for box in boxes if box
        )


def test_letters_stand_out_from_their_signs() -> None:
    for make in (make_scene, make_package):
        for seed in range(6):
            canvas = draw(make, seed)
            grey = np.asarray(canvas.image.convert("L")).astype(float)
            ink, owner = np.asarray(canvas.ink), np.asarray(canvas.owner)
            for number, (element, box) in enumerate(zip(canvas.elements, canvas.boxes(), strict=True), 1):
                if element.text and box is not None:
                    inside = np.s_[box[1] : box[3], box[0] : box[2]]
                    letters = grey[inside][(ink[inside] > 200) & (owner[inside] == number)]
                    around = grey[inside][ink[inside] < 20]
                    if len(letters) > 20 and len(around) > 20:
                        assert abs(np.median(letters) - np.median(around)) > 50, (make.__name__, seed, element)


def test_a_package_has_its_parts_in_order() -> None:
    for seed in range(5):
        canvas = draw(make_package, seed)
        roles = [block.role for block in canvas.blocks]
        assert roles == ["brand", "title", "text", "list", "barcode"]
        tops = [
            min(box[1] for one, box in zip(canvas.elements, canvas.boxes(), strict=True) if one.block == n and box)
            for n in range(5)
        ]
        assert tops == sorted(tops)
        assert canvas.elements[-1].text.isdigit() and len(canvas.elements[-1].text) == 13


@needs_chinese
def test_chinese_signs_and_packages_are_drawn() -> None:
    for make in (make_scene, make_package):
        canvas = draw(make, 1, chinese=True)
        assert all(box is not None for box in canvas.boxes())
