"""Scores tell knowledge from chatter and prose from litter, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.interleaved.text_scores import TextScoresStep, flesch_reading_ease, score_text, syllables
from mimovl.curate.step import Dropped
from mimovl.types import Sample
from tests.curate.interleaved.documents import Bench, make, text

DENSE = {
    "en": [
        "Photosynthesis is the process by which plants convert light energy into chemical energy "
        "stored in glucose. It takes "
        "place in the chloroplasts, which contain chlorophyll, and consists of two stages: the "
        "light-dependent reactions in "
        "the thylakoid membranes and the Calvin cycle in the stroma. The overall reaction produces "
        "oxygen as a by-product.",
        "The Treaty of Westphalia, signed in 1648 in Münster and Osnabrück, ended the Thirty Years' "
        "War in the Holy Roman "
        "Empire. It is known as the origin of the modern system of sovereign states, because the "
        "signatories agreed not to "
        "interfere in the domestic affairs of one another. France gained Alsace, and Sweden "
        "received Western Pomerania.",
    ],
    "zh": [
        "光合作用是指绿色植物通过叶绿体，利用光能把二氧化碳和水转化成储存能量的有机物，并释放出氧气的过程。光合作用分为光反应和暗反应"
        "两个阶段，光反应发生在类囊体薄膜上，暗反应发生在叶绿体基质中。其中卡尔文循环由美国科学家卡尔文于1946年提出。",
        "都江堰位于四川省成都市都江堰市城西，始建于公元前256年，由秦国蜀郡太守李冰父子主持修建，是以无坝引水为特征的水利工程。"
        "工程由鱼嘴、飞沙堰、宝瓶口三部分组成，具有防洪、灌溉等作用，因此成都平原被称为“天府之国”。",
    ],
}
TALK = {
    "en": [
        "Hey guys, I really love this thing, it is so cool and you are going to love it too! Just "
        "click the link now and get "
        "your free stuff today! Please like and share and follow me, thanks so much, you are the "
        "best! I just really love it!",
        "So I was like, what are you doing, and he was like, nothing, and then we just went home "
        "and I was so tired. You know "
        "how it is. I really just want to sleep now. Anyway, let me know what you are up to, and we can do something.",
    ],
    "zh": [
        "亲们，这款面膜真的太好用啦！我自己用了一个星期，皮肤变得超级好呢！现在下单还有优惠哦，限时包邮，赶紧点击链接购买吧！"
        "喜欢的朋友们记得点赞收藏转发呀，关注我，以后还有更多好东西分享给你们哦！",
        "今天真的好累呀，我跟你说，我早上起来就不想动，然后又去上班，你知道吗，我们那个人真的太烦了，我都不想理他呢。"
        "哎呀不说了，我要去睡觉了，你也早点睡吧，明天我们再聊吧，好不好呀！",
    ],
}
LITTER = {
    "en": ["Home About Contact Login Register Cart (0) Menu Products Services Blog FAQ "
    "Terms Privacy Sitemap 2020",
           "a1b2 $$$ %%% ### 0x3f 9981 ||| >>> <<< === --- 77-12 @@@ qqq zzz 0000 1111 ;;; ,,, ... !!! ???"],
    "zh": ["首页 产品 新闻 联系 登录 注册 购物车 搜索 菜单 服务 博客 帮助 条款 隐私 网站地图 版权 公司 招聘 下载 会员",
           "■□▲△●○★☆ 123 456 789 // ## 甲乙 %% $$ @@ 000 111 丙丁 == ++ -- 戊己"],
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_statement_is_denser_than_any_talk(language: str) -> None:
    dense = [score_text([text(words)], language).knowledge_density for words in DENSE[language]]
    talk = [score_text([text(words)], language).knowledge_density for words in TALK[language]]
    assert min(dense) > max(talk) + 0.2


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_prose_reads_better_than_any_litter(language: str) -> None:
    prose = [score_text([text(words)], language).readability for words in DENSE[language] + TALK[language]]
    litter = [score_text([text(words)], language).readability for words in LITTER[language]]
    assert min(prose) > max(litter) + 0.2


def test_a_text_said_over_and_over_is_not_dense() -> None:
    once = score_text([text(DENSE["en"][0])], "en").knowledge_density
    assert score_text([text(DENSE["en"][0])] * 30, "en").knowledge_density < 0.5 * once


def test_flesch_is_as_published() -> None:
    # Flesch's own scale: "The cat sat on the mat." has six words of one syllable.
    assert flesch_reading_ease("The cat sat on the mat.") == pytest.approx(206.835 - 1.015 * 6 - 84.6, abs=1e-9)
    assert flesch_reading_ease("") == 0


@pytest.mark.parametrize(("word", "count"), [("cat", 1), ("table", 2), ("made", 1), ("hated", 2), ("asked", 1),
                                             ("university", 5), ("the", 1), ("settee", 2)])  # fmt: skip
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_the_step_drops_by_reason(tmp_path: Path) -> None:
    apply = TextScoresStep(min_density=0.35).open(Bench(tmp_path))
    words = [DENSE["en"][0], DENSE["zh"][0], TALK["en"][0], "short", "Der Hund lief durch den Garten und bellte. " * 5]
    results = apply([make(text(one)) for one in words])
    assert [one.language if isinstance(one, Sample) else one.reason for one in results] == [
        "en", "zh", "low_density", "too_little_text", "other_language",
    ]  # fmt: skip
    litter = LITTER["en"][0] * 2
    (result,) = TextScoresStep(min_density=0, min_readability=0.4).open(Bench(tmp_path))([make(text(f"The {litter}"))])
    assert isinstance(result, Dropped) and result.reason in ("low_readability", "other_language")


def test_an_unknown_language_scores_nothing() -> None:
    scores = score_text([text("x = 1")], "und")
    assert (scores.knowledge_density, scores.readability) == (0, 0)
