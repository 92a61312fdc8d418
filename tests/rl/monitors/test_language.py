from __future__ import annotations

import pytest

from mimovl.rl.monitors.config import LanguageConfig
from mimovl.rl.monitors.language import LanguageMonitor, mixes, scripts
from tests.rl.monitors.making import group, resumed, shown


def test_letters_are_counted_by_script() -> None:
    assert scripts("3 circles и 圆, かな") == {"latin": 7, "cyrillic": 1, "han": 1, "kana": 2}


@pytest.mark.parametrize(
    ("question", "gold", "answer", "mixed"),
    [
        ("How many circles?", "3", "<think>\n1 top, 2 right\n</think>\n\n3", False),
        ("How many circles?", "3", "<think>\n我们先数一数圆形\n</think>\n\n3", True),
        ("How many circles?", "3", "Давайте посчитаем: 3", True),
        ("What does the sign say?", "出口", "出口", False),
        ("Translate 出口 please.", "exit", "出口 means exit", False),
        ("圆形在哪里?", "[1,2,3,4]", '[{"bbox_2d":[1,2,3,4],"label":"blue circle"}]', False),
        ("有几个圆?", "3", r"<think>\n数一数:上面一个,右面两个\n</think>\n\n\boxed{3}", False),
        ("有几个圆?", "3", "<think>\nLet me count the circles one by one\n</think>\n\n3", True),
        ("有几个圆?", "3", "3", False),
        ("Сколько кругов на картинке?", "3", "There are three red circles in the picture", True),
        ("Сколько кругов на картинке?", "3", "На картинке три круга", False),
        ("이 그림에 원이 몇 개 있습니까?", "3", "There are three red circles in the picture", True),
        ("この写真に円はいくつありますか？", "3", "There are three red circles in the picture", True),
        ("この写真に円はいくつありますか？", "3", "图片里有三个红色的圆形，所以答案是三。", True),
        ("この写真に円はいくつありますか？", "3", "三個", False),
        ("この写真は何ですか", "x", "それはスーパーコンピューターのプレーヤーです", False),
        (
            "この看板には何と書いてありますか",
            "東京都千代田区丸の内一丁目九番一号",
            "東京都千代田区丸の内一丁目九番一号",
            False,
        ),
        ("图上写着什么?", "the quick brown fox jumps over", "The quick brown fox jumps over", False),
        ("What is the angle?", "30", "Let α = 30, β = 60, γ = 90, then α + β = γ", False),
        ("What is the area?", "28", "A = πr² with π·3², so π·9, nearly 28", False),
        ("What is the length?", "5", "5 µm, 6 µm, 7 µm, 8 µm", False),
        ("Find x.", "30", "𝑥 + 𝑦 = 3, 𝑥 = 1, 𝛼 = 2, ℝ", False),
        ("How many circles?", "3", "Υπάρχουν τρεις κύκλοι", True),
    ],
)
def test_an_answer_mixes_if_its_script_is_neither_the_questions_nor_the_right_answers(
    question: str, gold: str, answer: str, mixed: bool
) -> None:
    assert mixes(question, gold, answer) is mixed


def monitor(state=None) -> LanguageMonitor:
    return LanguageMonitor(LanguageConfig(), 4, state)


FOREIGN, OWN = "<think>\n先数一数圆形的个数\n</think>\n\n3", "<think>\n1 top, 2 right\n</think>\n\n3"


def test_answers_that_drift_into_another_language_are_found() -> None:
    updates = [[group([OWN] * 8), group([FOREIGN, *[OWN] * 7])]] + [[group([OWN] * 4 + [FOREIGN] * 4)]] * 4
    said = shown(monitor(), updates)
    [alert] = said[-1]
    assert not said[0] and alert.monitor == "language" and "in another script" in alert.message
    assert any(one.completion.text == FOREIGN for one in alert.groups[0].rollouts)


def test_a_single_slip_is_healthy() -> None:
    updates = [[group([OWN] * 8), group([OWN] * 7 + [FOREIGN if n == 2 else OWN])] for n in range(8)]
    assert not any(shown(monitor(), updates))


def test_it_goes_on_where_it_stood() -> None:
    updates = [[group([OWN] * 4 + [FOREIGN] * 4)]] * 3
    assert resumed(monitor, updates, 1) == shown(monitor(), updates)
