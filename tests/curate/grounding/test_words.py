import pytest

from mimovl.curate.grounding.expression import Extreme, Kind, Nth, Related
from mimovl.curate.grounding.words import CHINESE_CLASSES, called, can_say, nouns, phrase

RED_CUP = Kind("cup", (("colour", "red"), ("size", "small")))


@pytest.mark.parametrize(
    ("expression", "english", "chinese"),
    [
        (RED_CUP, "small red cup", "小红色的杯子"),
        (Nth(1, "left", Kind("dog")), "leftmost dog", "最左边的狗"),
        (Nth(3, "bottom", Kind("dog")), "third dog from the bottom", "从下往上数第三个狗"),
        (Extreme("largest", Kind("car")), "largest car", "最大的汽车"),
        (Related("left of", Kind("cat"), Kind("dog")), "cat to the left of the dog", "狗左边的猫"),
        (
            Related("nearest to", Kind("cat"), Related("above", Kind("dog"), Nth(2, "right", Kind("car")))),
            "cat nearest to the dog above the second car from the right",
            "离从右往左数第二个汽车上方的狗最近的猫",
        ),
    ],
)
def test_expressions_are_said_in_both_languages(expression: object, english: str, chinese: str) -> None:
    assert phrase(expression, "en", {}) == english  # type: ignore[arg-type]
    assert phrase(expression, "zh", {}) == chinese  # type: ignore[arg-type]


def test_the_classes_of_coco_and_voc_have_chinese_names() -> None:
    assert len(CHINESE_CLASSES) == 86
    assert all(name and not name.isascii() or name == "" for name in CHINESE_CLASSES.values())
    assert CHINESE_CLASSES["traffic light"] == "红绿灯" and CHINESE_CLASSES["tvmonitor"] == "显示器"


def test_names_of_the_users_go_first_and_what_has_none_is_not_said() -> None:
    names = {"RBC": {"en": "red blood cell", "zh": "红细胞"}, "striped": {"zh": "条纹"}}
    assert called("RBC", "en", names) == "red blood cell" and called("RBC", "zh", names) == "红细胞"
    striped = Kind("RBC", (("pattern", "striped"),))
    assert can_say(striped, "zh", names) and nouns(striped, "zh", names) == "条纹的红细胞"
    assert not can_say(striped, "zh", {}) and not can_say(Kind("cup", (("pattern", "dotted"),)), "zh", names)
    assert not can_say(Related("above", Kind("cup"), Kind("gizmo")), "zh", {})
    assert can_say(Related("above", Kind("cup"), Kind("gizmo")), "en", {})


def test_several_are_named_in_the_plural() -> None:
    assert nouns(RED_CUP, "en", {}, many=True) == "small red cups"
    assert nouns(Kind("person"), "en", {}, many=True) == "people"
