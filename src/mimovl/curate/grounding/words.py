"""Referring expressions in English and Chinese.

Chinese names of the 80 COCO and 20 VOC classes are known; others, and attributes beyond colours and sizes, are given by
``names``. What has no Chinese name is not spoken of in Chinese.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mimovl.curate.grounding.expression import Expression, Extreme, Kind, Nth, Related
from mimovl.curate.readers.voc_samples import plural
from mimovl.curate.world.language import COLOURS

__all__ = ["CHINESE_CLASSES", "Names", "called", "can_say", "nouns", "phrase"]

Names = Mapping[str, Mapping[str, str]]
"""Class or attribute value as annotated → language → what to call it: ``{"RBC": {"en": "red blood cell"}}``."""

_PAIRS = """
person 人|bicycle 自行车|car 汽车|motorcycle 摩托车|airplane 飞机|bus 公交车|train 火车|truck 卡车|boat 船
traffic light 红绿灯|fire hydrant 消防栓|stop sign 停车标志|parking meter 停车计时器|bench 长椅|bird 鸟|cat 猫|dog 狗
horse 马|sheep 羊|cow 牛|elephant 大象|bear 熊|zebra 斑马|giraffe 长颈鹿|backpack 背包|umbrella 雨伞|handbag 手提包
tie 领带|suitcase 行李箱|frisbee 飞盘|skis 滑雪板|snowboard 单板滑雪板|sports ball 球|kite 风筝|baseball bat 棒球棒
baseball glove 棒球手套|skateboard 滑板|surfboard 冲浪板|tennis racket 网球拍|bottle 瓶子|wine glass 酒杯|cup 杯子
fork 叉子|knife 刀|spoon 勺子|bowl 碗|banana 香蕉|apple 苹果|sandwich 三明治|orange 橙子|broccoli 西兰花|carrot 胡萝卜
hot dog 热狗|pizza 披萨|donut 甜甜圈|cake 蛋糕|chair 椅子|couch 沙发|potted plant 盆栽|bed 床|dining table 餐桌
toilet 马桶|tv 电视|laptop 笔记本电脑|mouse 鼠标|remote 遥控器|keyboard 键盘|cell phone 手机|microwave 微波炉|oven 烤箱
toaster 烤面包机|sink 水槽|refrigerator 冰箱|book 书|clock 时钟|vase 花瓶|scissors 剪刀|teddy bear 泰迪熊
hair drier 吹风机|toothbrush 牙刷|aeroplane 飞机|motorbike 摩托车|diningtable 餐桌|pottedplant 盆栽|sofa 沙发
tvmonitor 显示器
"""
CHINESE_CLASSES = {
    pair.rpartition(" ")[0]: pair.rpartition(" ")[2] for line in _PAIRS.split("\n") for pair in line.split("|") if pair
}
_VALUES = {**COLOURS, "black": "黑色", "white": "白色", "grey": "灰色", "gray": "灰色", "brown": "棕色", "pink": "粉色"}
_VALUES |= {"large": "大", "small": "小", "big": "大", "tall": "高", "wooden": "木制", "round": "圆形"}
_SPOKEN = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "monitor"}

_OUTERMOST = {
    "left": ("leftmost", "最左边"),
    "right": ("rightmost", "最右边"),
    "top": ("topmost", "最上面"),
    "bottom": ("lowest", "最下面"),
}
_FROM = {
    "left": ("from the left", "从左往右数"),
    "right": ("from the right", "从右往左数"),
    "top": ("from the top", "从上往下数"),
    "bottom": ("from the bottom", "从下往上数"),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_CHINESE_ORDINALS = "一二三四五六七八九十"
_RELATIONS = {
    "left of": ("to the left of", "左边的"),
    "right of": ("to the right of", "右边的"),
    "above": ("above", "上方的"),
    "below": ("below", "下方的"),
    "inside": ("within the outline of", "范围内的"),
    "nearest to": ("nearest to", "最近的"),
}


def called(label: str, language: str, names: Names) -> str:
    """What a class is called; empty if that is not known."""
    given = names.get(label, {}).get(language, "")
    if given:
        return given
    low = label.lower()
    return CHINESE_CLASSES.get(low, "") if language == "zh" else _SPOKEN.get(low, low.replace("_", " "))


def can_say(expression: Expression, language: str, names: Names) -> bool:
    """Whether every word of it is known in the language."""
    match expression:
        case Kind():
            values = (_value(value, language, names) for _, value in expression.attributes)
            return bool(not expression.label or called(expression.label, language, names)) and all(values)
        case Nth() | Extreme():
            return can_say(expression.of, language, names)
        case Related():
            return can_say(expression.of, language, names) and can_say(expression.anchor, language, names)


def phrase(expression: Expression, language: str, names: Names) -> str:
    """An expression without its article: ``second red cup from the left``, 从左往右数第二个红色的杯子."""
    chinese = language == "zh"
    match expression:
        case Kind():
            return nouns(expression, language, names)
        case Nth():
            name = nouns(expression.of, language, names)
            if expression.number == 1:
                english, zh = _OUTERMOST[expression.side]
                return f"{zh}的{name}" if chinese else f"{english} {name}"
            english, zh = _FROM[expression.side]
            number = expression.number - 1
            return f"{zh}第{_CHINESE_ORDINALS[number]}个{name}" if chinese else f"{_ORDINALS[number]} {name} {english}"
        case Extreme():
            name = nouns(expression.of, language, names)
            return f"最{'大' if expression.which == 'largest' else '小'}的{name}" if chinese else (
                f"{expression.which} {name}"
            )  # fmt: skip
        case Related():
            english, zh = _RELATIONS[expression.relation]
            name, anchor = nouns(expression.of, language, names), phrase(expression.anchor, language, names)
            if chinese:
                return f"{'离' if expression.relation == 'nearest to' else ''}{anchor}{zh}{name}"
            return f"{name} {english} the {anchor}"


def nouns(kind: Kind, language: str, names: Names, *, many: bool = False) -> str:
    """``red cup``, ``red cups``, 红色的杯子."""
    values = [_value(value, language, names) for _, value in _ordered(kind.attributes)]
    if language == "zh":
        name = called(kind.label, "zh", names) if kind.label else "物体"
        return "".join(values) + ("的" if values else "") + name
    name = called(kind.label, "en", names) if kind.label else "object"
    return " ".join([*values, plural(name) if many else name])


def _ordered(attributes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sizes first, colours last before the noun, as English has it."""
    rank = {"size": 0, "colour": 2, "color": 2}
    return sorted(attributes, key=lambda pair: rank.get(pair[0], 1))


def _value(value: str, language: str, names: Names) -> str:
    given = names.get(value, {}).get(language, "")
    return given or (_VALUES.get(value, "") if language == "zh" else value)
