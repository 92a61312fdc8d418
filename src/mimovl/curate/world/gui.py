"""GUI pages: a window with a title bar, buttons, checkboxes and text fields; an instruction → a click."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace

from PIL import Image, ImageColor, ImageDraw

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.draw import RGB
from mimovl.curate.world.fonts import CharBox, chinese_font_path, draw_text, ink_box, line_height, text_width
from mimovl.curate.world.items import Accept, Annotation, Turn, WorldItem, draw_accepted
from mimovl.curate.world.language import Templates, pick, say
from mimovl.curate.world.scene import coarse_place
from mimovl.curate.world.scene_turns import box_answer, unique_turns
from mimovl.errors import DataError
from mimovl.types import Gold

__all__ = ["LABELS", "build_gui"]

Box = tuple[int, int, int, int]

_TITLES = {"Files": "文件", "Settings": "设置", "Mail": "邮件", "Photos": "照片", "Music": "音乐", "Notes": "笔记"}
_BUTTONS = {
    "Save": "保存",
    "Open": "打开",
    "Cancel": "取消",
    "Print": "打印",
    "Copy": "复制",
    "Delete": "删除",
    "Send": "发送",
    "Search": "搜索",
    "Help": "帮助",
    "Back": "返回",
    "Next": "下一步",
    "Play": "播放",
}
_CHECKBOXES = {
    "Sound": "声音",
    "Dark mode": "深色模式",
    "Wi-Fi": "无线",
    "Updates": "更新",
    "Backup": "备份",
    "Bold": "粗体",
}
_FIELDS = {"Name": "姓名", "Email": "邮箱", "Phone": "电话", "City": "城市", "Date": "日期", "Subject": "主题"}
_LABELS = {"button": _BUTTONS, "checkbox": _CHECKBOXES, "field": _FIELDS}
LABELS = (*_TITLES, *_BUTTONS, *_CHECKBOXES, *_FIELDS)
"""Every English label and title an element can have."""
_KIND_NAMES = {"button": "按钮", "checkbox": "复选框", "field": "输入框"}

_QUESTIONS: Templates = {
    "button": {
        "en": ('Click "{x}".', "Press the {x} button.", "Click the {x} button."),
        "zh": ("点击“{x}”。", "按{x}按钮。"),
    },
    "checkbox": {"en": ('Click "{x}".', "Click the {x} checkbox."), "zh": ("点击“{x}”。", "点击{x}复选框。")},
    "field": {"en": ('Click "{x}".', "Click the {x} field.", "Select the {x} field."), "zh": ("点击{x}输入框。",)},
    "box": {"en": ("Find the {x} {kind}.", "Box of the {x} {kind}?"), "zh": ("找出{x}{kind}。",)},
    "title": {"en": ("What is the title of the window?",), "zh": ("窗口的标题是什么？",)},
    "ticked": {"en": ("Is {x} ticked?",), "zh": ("{x}勾选了吗？",)},
    "read": {"en": ("What is the label in {box}?",), "zh": ("{box}里的标签是什么？",)},
}


@dataclass(frozen=True)
class _Theme:
    page: RGB
    bar: RGB
    bar_text: RGB
    text: RGB
    button: RGB
    button_text: RGB
    field: RGB
    line: RGB


def _theme(colours: str) -> _Theme:
    return _Theme(*(ImageColor.getrgb(f"#{colour}")[:3] for colour in colours.split()))


_THEMES = (
    # page, bar, text on it, text, button, text on it, field, line
    _theme("f0f0f2 3465a4 ffffff 141418 dadce2 141418 ffffff 828690"),
    _theme("ffffff e6e6e6 1e1e1e 1e1e1e 186edc ffffff f8f8f8 a0a0a0"),
    _theme("24262c 16171b e6e6eb e8e8ec 444a5a f5f5fa 18191e 6e727e"),
    _theme("faf4e6 966030 fffaf0 3c2814 e2c496 32200e fffcf4 967854"),
    _theme("e4f2e8 28784c fafffc 0e2818 288c58 ffffff fafffb 6e967e"),
    _theme("181c30 583ca0 faf8ff e2e4f5 7e5cd2 ffffff 262b46 686c96"),
)


@dataclass(frozen=True)
class _Element:
    kind: str
    label: str
    """English; also the key's name for it."""
    box: Box
    ticked: bool = False

    @property
    def centre(self) -> tuple[int, int]:
        return ((self.box[0] + self.box[2]) // 2, (self.box[1] + self.box[3]) // 2)


@dataclass(frozen=True)
class _Page:
    width: int
    height: int
    title: str
    font: int
    language: str
    bar: int
    elements: tuple[_Element, ...]

    @property
    def key(self) -> str:
        parts = [f"{item.kind} {item.label}{' ticked' * item.ticked} {item.box[:2]}" for item in self.elements]
        return f"gui {self.width}x{self.height} {self.title} {self.language}: " + "; ".join(parts)

    @property
    def chinese(self) -> bool:
        return self.language == "zh"

    def width_of(self, label: str) -> int:
        """Width of a label as it stands on the page, pixels."""
        return text_width(self.shown(label), self.font, chinese=self.chinese)

    def shown(self, label: str) -> str:
        """A label as it stands on the page."""
        if self.language == "en":
            return label
        return next(names[label] for names in (_TITLES, *_LABELS.values()) if label in names)


def build_gui(rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    """A GUI page of the wanted split with click, box, reading and state questions."""
    wanted = rng.random() < config.chinese_share
    language = "zh" if wanted and chinese_font_path() is not None else "en"
    page = draw_accepted(lambda: _draw_page(rng, config, language), accept)
    image, title_box, chars = _render(rng, page)
    annotations = [Annotation(title_box, {"kind": "title", "label": page.shown(page.title)})]
    annotations += [Annotation(item.box, _attributes(page, item)) for item in page.elements]
    annotations += [Annotation(box, {"kind": "char", "text": char}) for char, box in chars]
    return WorldItem(
        source="world/gui",
        key=page.key,
        language=language,
        image=image,
        turns=_turns(rng, page, config),
        annotations=tuple(annotations),
        description=_describe(page),
    )


def _attributes(page: _Page, item: _Element) -> dict[str, str]:
    """What a patch of the element can be said to be."""
    place = coarse_place(*item.centre, page.width, page.height)
    found = {"kind": item.kind, "label": page.shown(item.label), "place": place}
    return found | ({"state": "ticked" if item.ticked else "empty"} if item.kind == "checkbox" else {})


def _draw_page(rng: random.Random, config: WorldConfig, language: str) -> _Page:
    """Rows of elements from top to bottom; the page is drawn again until enough of them fit."""
    low, high = config.gui_elements
    for _ in range(1000):
        width, height, font = rng.choice(config.gui_sides), rng.choice(config.gui_sides), rng.randint(*config.gui_font)
        page = _Page(width, height, rng.choice(list(_TITLES)), font, language, font + rng.randint(4, 7), ())
        kinds = [rng.choice(("button", "button", "checkbox", "field")) for _ in range(rng.randint(low, high))]
        labels = {kind: rng.sample(list(names), len(names)) for kind, names in _LABELS.items()}
        rows = _lay_out(rng, page, [(kind, labels[kind].pop()) for kind in kinds if labels[kind]])
        if sum(map(len, rows)) >= low:
            return replace(page, elements=_spread(rng, page, rows))
    raise DataError(f"no GUI page has room for {low} elements; lower gui_elements or raise gui_sides")


def _lay_out(rng: random.Random, page: _Page, wanted: list[tuple[str, str]]) -> list[list[_Element]]:
    """Rows of elements, close together; those that no longer fit are left out."""
    rows: list[list[_Element]] = [[]]
    margin, tall = rng.randint(4, 8), line_height(page.font, chinese=page.chinese)
    x, y = margin, page.bar + rng.randint(4, 8)
    for kind, label in wanted:
        words = page.width_of(label)
        if kind == "button":
            wide, high = words + rng.randint(8, 16), tall + rng.randint(3, 6)
        elif kind == "checkbox":
            wide, high = page.font + 5 + words, tall
        else:
            wide, high = words + rng.randint(24, 48), tall + rng.randint(3, 5)
        limit = page.width - margin
        if rows[-1] and (x + wide > limit or rng.random() < 0.35):
            x, y = margin, max(item.box[3] for item in rows[-1]) + rng.randint(3, 8)
            rows.append([])
        if not rows[-1] and rng.random() < 0.5:
            x += rng.randint(0, max(0, limit - margin - wide))
        if x + wide > limit or y + high > page.height - 3:
            continue
        ticked = kind == "checkbox" and rng.random() < 0.5
        rows[-1].append(_Element(kind, label, (x, y, x + wide, y + high), ticked))
        x += wide + rng.randint(5, 12)
    return rows


def _spread(rng: random.Random, page: _Page, rows: list[list[_Element]]) -> tuple[_Element, ...]:
    """Move rows down by random shares of the free space, so that elements are found at every height."""
    free = page.height - 3 - max(item.box[3] for row in rows for item in row)
    shifts = sorted(rng.randint(0, free) for _ in rows)
    return tuple(
        replace(item, box=(item.box[0], item.box[1] + shift, item.box[2], item.box[3] + shift))
        for row, shift in zip(rows, shifts, strict=True)
        for item in row
    )


def _render(rng: random.Random, page: _Page) -> tuple[Image.Image, Box, list[CharBox]]:
    """Draw the page; returns it with the title's box and all characters."""
    theme = rng.choice(_THEMES)
    tall = line_height(page.font, chinese=page.chinese)
    image = Image.new("RGB", (page.width, page.height), theme.page)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, page.width - 1, page.bar - 1), fill=theme.bar)
    cross = page.bar // 2
    for sign in (-1, 1):
        draw.line((page.width - 10, cross - 3 * sign, page.width - 4, cross + 3 * sign), fill=theme.bar_text)

    def write(x: int, y: int, text: str, colour: RGB) -> list[CharBox]:
        return draw_text(image, x, y, text, page.font, colour, chinese=page.chinese)

    title = write(5, (page.bar - tall) // 2, page.shown(page.title), theme.bar_text)
    chars = list(title)
    for item in page.elements:
        x1, y1, x2, y2 = item.box
        label, middle = page.shown(item.label), y1 + (y2 - y1 - tall) // 2
        words = page.width_of(item.label)
        if item.kind == "button":
            draw.rounded_rectangle((x1, y1, x2 - 1, y2 - 1), radius=3, fill=theme.button, outline=theme.line)
            chars += write(x1 + (x2 - x1 - words) // 2, middle, label, theme.button_text)
        elif item.kind == "field":
            draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=theme.field, outline=theme.line)
            chars += write(x1 + 4, middle, label, theme.text)
            draw.line((x1 + words + 7, y1 + 3, x1 + words + 7, y2 - 4), fill=theme.line)
        else:
            top, side = (y1 + y2 - page.font) // 2, page.font - 1
            draw.rectangle((x1, top, x1 + side, top + side), fill=theme.field, outline=theme.line)
            if item.ticked:
                points = [(x1 + 2, top + side // 2), (x1 + side // 2, top + side - 2), (x1 + side - 2, top + 2)]
                draw.line(points, fill=theme.text, width=2)
            chars += write(x1 + page.font + 5, middle, label, theme.text)
    return image, ink_box(title), chars


def _turns(rng: random.Random, page: _Page, config: WorldConfig) -> tuple[Turn, ...]:
    language = page.language
    clicks: list[Turn] = []
    others: list[Turn] = []
    for item in page.elements:
        label = page.shown(item.label)
        kind = _KIND_NAMES[item.kind] if language == "zh" else item.kind
        place = say(coarse_place(*item.centre, page.width, page.height), language)
        thought = f"{place}: {label} {kind}"
        box = list(item.box)
        click = json.dumps({"action": "click", "start_point": list(item.centre)}, separators=(",", ":"))
        question = pick(rng, _QUESTIONS, item.kind, language, x=label)
        clicks.append(Turn("gui_point", question, click, thought, Gold("point", box), language))
        question = pick(rng, _QUESTIONS, "box", language, x=label, kind=kind)
        answer = box_answer([(item.box, label)])
        others.append(Turn("grounding", question, answer, thought, Gold("box", box), language))
        where = f"[{','.join(map(str, box))}]"
        question = pick(rng, _QUESTIONS, "read", language, box=where)
        gold = Gold("text", label, {"metric": "edit"})
        others.append(Turn("ocr", question, label, f"{place}: {kind}", gold, language))
        if item.kind == "checkbox":
            answer = say("yes" if item.ticked else "no", language)
            question = pick(rng, _QUESTIONS, "ticked", language, x=label)
            others.append(Turn("attributes", question, answer, thought, Gold("text", answer), language))
    title = page.shown(page.title)
    question = pick(rng, _QUESTIONS, "title", language)
    thought = say("top left", language)
    others.append(Turn("ocr", question, title, thought, Gold("text", title, {"metric": "edit"}), language))
    rng.shuffle(clicks)
    rng.shuffle(others)
    share = max(1, config.turns_per_item * 5 // 8)
    return unique_turns([*clicks[:share], *others], config.turns_per_item)


def _describe(page: _Page) -> str:
    """``screen 140x112: title "Files"; button "Save" [12,30,50,48]``."""
    chinese = page.chinese
    parts = [f'{"标题" if chinese else "title"} "{page.shown(page.title)}"']
    for item in page.elements:
        state = ("ticked", "勾选") if item.ticked else ("empty", "未选")
        words = [_KIND_NAMES[item.kind] if chinese else item.kind, f'"{page.shown(item.label)}"']
        words += [state[chinese]] if item.kind == "checkbox" else []
        parts.append(f"{' '.join(words)} [{','.join(map(str, item.box))}]")
    return f"{'屏幕' if chinese else 'screen'} {page.width}x{page.height}: " + "; ".join(parts)
