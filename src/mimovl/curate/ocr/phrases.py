"""What is written on the pages: made-up sentences, goods, prices and dates, or lines of the user's own texts.

Tokens are what stands between spaces; in Chinese, words and runs of signs, set without spaces.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache
from pathlib import Path

from mimovl.curate.world.vocabulary import CHINESE_WORDS, NAMES, WORDS
from mimovl.errors import DataError

__all__ = ["Phrases", "read_corpus"]

_VERBS = ("keeps", "finds", "shows", "moves", "covers", "follows", "brings", "opens", "needs", "holds", "reports")
_ADVERBS = ("often", "again", "slowly", "at once", "in detail", "every year", "since 2019", "by hand", "for free")
_LINKS = ("and", "but", "while", "because", "although", "so")
_TITLES = ("Report", "Notes", "Annual Review", "User Guide", "Minutes", "Summary", "Price List", "Chapter", "Survey")
_GOODS = (
    "Olive Oil", "Green Tea", "Oat Biscuits", "Soap", "Face Cream", "Dark Chocolate", "Rice Noodles", "Honey",
    "Ground Coffee", "Tomato Soup", "Vitamin C", "Batteries", "Paper Towels", "Orange Juice", "Sea Salt", "Shampoo",
)  # fmt: skip
_SIGNS = (
    "EXIT", "OPEN", "CLOSED", "NO PARKING", "PUSH", "PULL", "SALE", "BUS STOP", "TICKETS", "INFORMATION", "CAUTION",
    "WET FLOOR", "STAFF ONLY", "GATE 12", "PLATFORM 3", "BAKERY", "PHARMACY", "COFFEE", "LIBRARY", "SPEED LIMIT 30",
)  # fmt: skip
_ZH_SUBJECTS = ("我们", "老师", "公司", "用户", "城市", "学生", "医生", "工厂", "编辑部", "研究人员")
_ZH_VERBS = ("发现", "提供", "介绍", "需要", "改进", "使用", "保存", "讨论", "完成", "选择")
_ZH_OBJECTS = (
    "新的方法",
    "产品质量",
    "会议记录",
    "天气变化",
    "安全规定",
    "学习计划",
    "电子邮件",
    "交通路线",
    "实验结果",
)
_ZH_TIMES = ("今天", "去年", "每年春天", "最近", "三月以来", "上午", "通常", "目前")
_ZH_TITLES = ("年度报告", "使用说明", "会议纪要", "价目表", "第三章", "工作总结", "调查结果", "通知")
_ZH_GOODS = ("绿茶", "大米", "牛奶", "洗手液", "饼干", "蜂蜜", "矿泉水", "番茄酱", "巧克力", "酱油", "电池", "橙汁")
_ZH_SIGNS = (
    "出口",
    "入口",
    "小心地滑",
    "禁止停车",
    "营业中",
    "售票处",
    "图书馆",
    "药店",
    "请勿吸烟",
    "三号站台",
    "推",
    "拉",
)
_ZH_TOKEN = re.compile(r"[A-Za-z0-9][\w.%:/@-]*|[\u3400-\u9fff]{1,4}[，。；：？！、”）》]*|\S")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "October", "November", "December")
_MIN_LINE = 12


@lru_cache(maxsize=4)
def read_corpus(path: str) -> tuple[str, ...]:
    """Lines of a UTF-8 text file, or of the .txt and .md files of a folder, each of at least twelve characters.

    Raises:
        DataError: nothing is there, it is no UTF-8, or no line is long enough.
    """
    place = Path(path)
    files = sorted(f for f in place.rglob("*") if f.suffix in (".txt", ".md")) if place.is_dir() else [place]
    lines = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}; texts names a text file or a folder") from None
        except UnicodeDecodeError:
            raise DataError(f"{file} is no UTF-8 text; convert it, or leave it out of texts") from None
        lines += [" ".join(line.split()) for line in text.splitlines() if len(line.strip()) >= _MIN_LINE]
    if not lines:
        raise DataError(f"{path}: no text of {_MIN_LINE} characters or more in a line; texts names UTF-8 .txt or .md")
    return tuple(lines)


def _is_chinese(text: str) -> bool:
    return sum("\u3400" <= char <= "\u9fff" for char in text) > 0.3 * len(text)


class Phrases:
    """A source of texts in one language.

    Args:
        rng: where chance comes from.
        chinese: in Chinese.
        corpus: lines to take running text from; those of the other language are passed over.
    """

    def __init__(self, rng: random.Random, *, chinese: bool = False, corpus: tuple[str, ...] = ()) -> None:
        self.rng, self.chinese = rng, chinese
        self.corpus = [line for line in corpus if _is_chinese(line) == chinese]

    def sentence(self) -> list[str]:
        """Tokens of one sentence."""
        pick = self.rng.choice
        if self.corpus:
            return self.tokens(pick(self.corpus))[:60]
        if self.chinese:
            words = [pick(_ZH_TIMES), pick(_ZH_SUBJECTS), pick(_ZH_VERBS) + "了", pick(_ZH_OBJECTS) + "，"]
            words += [pick(_ZH_SUBJECTS), pick(("也", "已经", "正在")) + pick(_ZH_VERBS), pick(CHINESE_WORDS)]
            words += [f"{self.rng.randint(2, 98)}%"] if self.rng.random() < 0.2 else []
            return [*words[:-1], words[-1] + "。"]
        words = ["The", pick(WORDS), pick(WORDS), pick(_VERBS), "the", pick(WORDS), *pick(_ADVERBS).split()]
        if self.rng.random() < 0.5:
            words[-1] += ","
            words += [pick(_LINKS), pick(NAMES), pick(_VERBS), str(self.rng.randint(2, 990)), pick(WORDS), pick(WORDS)]
        return [*words[:-1], words[-1] + pick((".", ".", ".", ";", "!"))]

    def paragraph(self, sentences: int) -> list[str]:
        """Tokens of some sentences."""
        return [token for _ in range(sentences) for token in self.sentence()]

    def tokens(self, text: str) -> list[str]:
        """A text cut into tokens."""
        return _ZH_TOKEN.findall(text) if self.chinese else text.split()

    def title(self) -> list[str]:
        """A heading."""
        pick = self.rng.choice
        if self.chinese:
            return [pick(CHINESE_WORDS), pick(_ZH_TITLES)]
        words = [pick(_TITLES), "on", pick(WORDS), "and", pick(WORDS)] if self.rng.random() < 0.6 else []
        words = " ".join(words or [pick(WORDS), pick(_TITLES)]).split()
        return [word.capitalize() if len(word) > 3 or number == 0 else word for number, word in enumerate(words)]

    def good(self) -> str:
        """The name of goods."""
        return self.rng.choice(_ZH_GOODS if self.chinese else _GOODS)

    def sign(self) -> str:
        """What a sign says."""
        if self.rng.random() < 0.25:
            return self.phone() if self.rng.random() < 0.5 else self.price()
        return self.rng.choice(_ZH_SIGNS if self.chinese else _SIGNS)

    def name(self) -> str:
        """A brand or a person."""
        if self.chinese:
            return self.rng.choice(CHINESE_WORDS) + self.rng.choice(("牌", "堂", "记", "坊"))
        return self.rng.choice(NAMES) + self.rng.choice(("'s", " & Co", " Foods", "Lab", " Farm"))

    def number(self) -> str:
        """A number of some form."""
        low = self.rng.randint
        return self.rng.choice((f"{low(1, 999)}", f"{low(1, 99)}.{low(0, 99):02d}", f"{low(1, 99)},{low(0, 999):03d}"))

    def price(self) -> str:
        """A price."""
        mark = "￥" if self.chinese else self.rng.choice(("$", "€", "£")) if self.rng.random() < 0.7 else "$"
        return (
            f"{'¥' if mark == '￥' else mark}{self.rng.randint(1, 99)}.{self.rng.choice((0, 25, 49, 50, 90, 99)):02d}"
        )

    def date(self) -> str:
        """A date."""
        year, month, day = self.rng.randint(1995, 2031), self.rng.randint(1, 12), self.rng.randint(1, 28)
        if self.chinese:
            return f"{year}年{month}月{day}日"
        written = f"{day} {self.rng.choice(_MONTHS)} {year}"
        return self.rng.choice((f"{year}-{month:02d}-{day:02d}", written, f"{month:02d}/{day:02d}/{year}"))

    def phone(self) -> str:
        """A telephone number, of the range kept for fiction in English."""
        digits = self.rng.randint
        return f"010-{digits(1000, 9999)}{digits(1000, 9999)}" if self.chinese else f"555-01{digits(10, 99)}"

    def code(self) -> str:
        """A serial number."""
        letters = "".join(self.rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(self.rng.randint(1, 3)))
        return f"{letters}{self.rng.choice('- ')[0].strip()}{self.rng.randint(100, 99999)}"
