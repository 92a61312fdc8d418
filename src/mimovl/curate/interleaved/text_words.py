"""Words and characters by which the scores of a text tell statement from talk, for English and Chinese."""

from __future__ import annotations

import re

__all__ = ["CHINESE_COMMON", "CHINESE_FUNCTION", "CHINESE_STATES", "CHINESE_TALK", "ENGLISH_STATES", "ENGLISH_TALK"]

ENGLISH_STATES = re.compile(
    r"\b(?:is defined as|are defined as|refers? to|known as|is called|are called|consists? of|composed of|contains?"
    r"|includes?|because|therefore|thus|hence|however|whereas|caused by|results? in|due to|depends on|according to"
    r"|derived from|classified|such as|for example|in contrast|measured|produced by|approximately|century)\b",
    re.IGNORECASE,
)
ENGLISH_TALK = re.compile(
    r"\b(?:i|i'm|i've|me|my|you|you'll|you're|your|we|our|us|lol|omg|wow|hey|hi|guys|awesome|amazing|great|best|cool"
    r"|really|just|stuff|thing|things|click|subscribe|buy|shop|sale|free|discount|offer|deal|order|now|today|check out"
    r"|sign up|follow|like|share|love|please|thanks)\b|!",
    re.IGNORECASE,
)
CHINESE_STATES = re.compile(
    r"定义为|是指|称为|简称|又称|组成|构成|包括|包含|因此|所以|由于|从而|导致|根据|属于|分为|具有|位于|约为|大约|例如"
    r"|如果|则|通过|作用|原理|结构|世纪|公元|其中|由[^，。]{1,12}(?:提出|发明|建立|发现)"
)
CHINESE_TALK = re.compile(
    r"[我你您咱亲]|哈哈|嘿|哇|呀|呢|吧|嘛|啦|哦|！|!|点击|关注|优惠|免费|折扣|下单|购买|抢购|限时|扫码|加微信|私信|转发|点赞"
    r"|收藏|赶紧|超级|真的|太[^，。]{1,3}了|好吃|好看|朋友们|宝贝|包邮|热销|爆款"
)
CHINESE_FUNCTION = frozenset(
    "的了是在不有和就也都而及与或着过把被给让对从向以为于其之这那个们吗呢吧啊呀么很还又再但如所"
)
CHINESE_COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事"
    "成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此"
    "已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代"
    "内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安"
    "少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放"
    "强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
)
"""About 350 of the commonest characters, which make up two thirds of running text."""
