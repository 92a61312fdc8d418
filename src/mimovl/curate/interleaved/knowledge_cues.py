"""What gives away the kind of a document: patterns for English and Chinese, with weights. Our own; the paper has none.

A cue counts in the head (title, headings, first 1,200 characters) or anywhere in the first 20,000 characters; each
counts at most ``cap`` times, so that a long document is not every kind at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["CUES", "KINDS", "Cue", "Kind"]

Kind = Literal["textbook", "encyclopedia", "manual", "guide", "patent", "biography"]
KINDS: tuple[Kind, ...] = ("textbook", "encyclopedia", "manual", "guide", "patent", "biography")


@dataclass(frozen=True, slots=True)
class Cue:
    """A pattern that speaks for a kind."""

    kind: Kind
    where: Literal["head", "text"]
    pattern: re.Pattern[str]
    weight: float
    cap: int


def _cues(kind: Kind, where: Literal["head", "text"], weight: float, cap: int, *patterns: str) -> list[Cue]:
    return [Cue(kind, where, re.compile(pattern, re.I | re.M), weight, cap) for pattern in patterns]


CUES: tuple[Cue, ...] = (
    *_cues("textbook", "head", 2.5, 1, r"\btextbook\b", r"教材|教科书|课本|讲义|lecture notes"),
    *_cues(
        "textbook",
        "head",
        1.2,
        3,
        r"^(?:chapter|unit|lesson)\s+\w+",
        r"^(?:learning objectives?|review questions?|exercises?|problems|key terms)\b",
        r"^第[一二三四五六七八九十\d]+[章课单]",
        r"学习目标|思考题|练习题?|习题|本章小结|知识点|课后",
    ),
    *_cues(
        "textbook",
        "text",
        0.8,
        4,
        r"\b(?:theorem|lemma|corollary|proposition|definition|example|exercise)\s+\d",
        r"\bproof[.:]",
        r"(?:定理|引理|推论|定义|例题?|命题)\s*\d",
        r"\b(?:let us|we (?:will|shall|now)|recall that|it follows that)\b",
        r"(?:我们(?:来|将|知道|可以得到|把)|由此可(?:知|得|见)|试(?:证|求)|证明[:：])",
        r"\bstudents?\b|同学们",
    ),
    *_cues("encyclopedia", "head", 2.5, 1, r"\bencyclop(?:a?edia|ædia)\b|wikipedia|britannica", r"百科|辞典|词条"),
    *_cues(
        "encyclopedia",
        "head",
        1.2,
        3,
        r"^(?:see also|external links|references|etymology"
        r"|further reading|taxonomy|distribution and habitat|demographics)\b",
        r"^(?:参见|外部链接|参考文献|参考资料|词源|延伸阅读|分布|形态特征|生态习性|行政区划|历史沿革)",
    ),
    *_cues(
        "encyclopedia",
        "head",
        2.4,
        1,
        r"^[^\n.]{1,80}?(?:\([^)]*\))?,?\s(?:is|are|was|were)\s(?:an?|the|one of|any)\s[^\n]{15,}",
        r"^[^\n，。]{1,24}(?:（[^）]*）)?[，,]?(?:又称[^，。]*，|简称[^，。]*，|学名[^，。]*，)?(?:是|为|指)[^\n]{0,30}(?:一[种个类座条项位]|的|之一)",
    ),
    *_cues(
        "encyclopedia",
        "text",
        0.5,
        3,
        r"\[\d{1,3}\]|\[citation needed\]",
        r"又称|亦称|学名|属于[^，。]{1,12}[科属目类]",
    ),
    *_cues(
        "manual",
        "head",
        2.5,
        1,
        r"\b(?:manual|handbook|reference|datasheet|documentation)\b",
        r"手册|说明书|使用说明|技术文档",
    ),
    *_cues(
        "manual",
        "head",
        1.0,
        4,
        r"^(?:[\d.]+\s*)?(?:installation|installing|configuration|configuring|specifications?|troubleshooting|synopsis|options|usage"
        r"|operation|maintenance|safety|warranty|parts list|system requirements|command line)\b",
        r"^(?:[\d.]+\s*)?(?:安装|配置|规格|参数|技术参数|故障排[除查]|维护|保养|安全|注意事项|操作|选项|命令行|系统要求|产品概述)",
    ),
    *_cues(
        "manual",
        "text",
        0.6,
        4,
        r"^(?:warning|caution|note|important)\s*[:!]",
        r"^(?:警告|注意|提示|危险)[:：!！]?",
        r"(?:^|\s)--?[a-z][a-z\-]{2,}\b",
        r"\b(?:press|push|turn|hold|connect|disconnect|insert)\s+the\b",
        r"(?:按下|长按|旋转|连接|断开|插入|拧紧)[^，。]{1,12}(?:键|按钮|开关|电源|接口|螺[丝钉栓])",
        r"\b(?:default value|the following options?|is installed|config(?:uration)? file|parameter)\b",
        r"默认值|配置文件|参数|软件包",
    ),
    *_cues(
        "guide",
        "head",
        2.5,
        1,
        r"\b(?:guide|tutorial|how[- ]to|walkthrough|cookbook|faq|beginner'?s?|tips)\b",
        r"指南|教程|攻略|入门|技巧|常见问题|新手",
    ),
    *_cues(
        "guide",
        "head",
        1.2,
        3,
        r"^(?:step\s+\w+|getting started|what you(?:'ll| will)? need|before you (?:begin|start)"
        r"|ingredients|directions|\d+\.\d*\s*how (?:do|can|to))\b",
        r"^(?:第[一二三四五六七八九十\d]+步|步骤[一二三四五六七八九十\d]*|准备(?:工作|材料)|开始之前|食材|做法|如何|怎[么样])",
    ),
    *_cues(
        "guide",
        "text",
        0.6,
        4,
        r"\b(?:you can|you should|you will|you need to|make sure|don'?t forget|we recommend|if you want)\b",
        r"(?:你|您)(?:可以|应该|需要|可能|最好|只需)|建议(?:您|你)?|别忘了|首先|接下来|最后一步|推荐",
        r"^(?:\d+[.)]|first|next|then|finally)[,.]?\s+(?:\w+\s+){0,2}(?:the|your|a)\b",
    ),
    *_cues(
        "patent",
        "head",
        3.0,
        1,
        r"\bpatent\b|what is claimed|technical field|field of the invention",
        r"专利|发明名称|权利要求书|实用新型|技术领域",
    ),
    *_cues(
        "patent",
        "text",
        1.0,
        4,
        r"\b(?:the (?:present )?invention|prior art|preferred embodiments?|an embodiment|one embodiment)\b",
        r"\bwherein (?:the|said)\b|\bsaid\s+\w+\s+(?:is|being|comprises?)\b|\bof claim \d",
        r"\bclaims?\s*[:.]?\s*1\b|\bclaimed is\b",
        r"本发明|本实用新型|本申请",
        r"其特征在于|如权利要求|根据权利要求|所述的?",
        r"实施例|现有技术|附图说明|背景技术",
    ),
    *_cues(
        "biography",
        "head",
        2.5,
        1,
        r"\b(?:biography|autobiography|memoirs?|life of)\b",
        r"传记|自传|生平|人物经历|回忆录|列传",
    ),
    *_cues(
        "biography",
        "head",
        1.4,
        3,
        r"^(?:early life|personal life|career|death|legacy|childhood|education|later (?:life|years)|awards)\b",
        r"^(?:早年(?:经历|生活)?|个人生活|职业生涯|人物生平|家庭|逝世|晚年|主要成就|求学)",
        r"\(\s*(?:born\b|[^()]{0,30}\b1[0-9]{3}\s*[–\-—])[^()]*\)",
        r"[（(][^（()）]{0,16}\d{3,4}年[^（()）]{0,12}[—–\-－~～][^（()）]*[)）]",
    ),
    *_cues(
        "biography",
        "text",
        1.2,
        3,
        r"\b(?:was|were) born\b|\bborn (?:in|on|to)\b",
        r"\b(?:he|she) (?:died|married|studied|graduated|moved|joined|became|was appointed|returned)\b",
        r"出生[于在]|生于|[^，。]{2,6}人，\d{4}年",
        r"毕业于|逝世|去世|病逝|享年|任教|当选|结婚|考入|就读于",
    ),
)
