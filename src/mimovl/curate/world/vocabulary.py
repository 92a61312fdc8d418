"""Word lists of the embedded world: common words to print, names and things for word problems and stories."""

from __future__ import annotations

__all__ = ["ANIMALS", "CHINESE_WORDS", "NAMES", "PLURAL_THINGS", "WORDS"]

WORDS = tuple(
    """
    apple bird book boat bread bridge brick brown bus cake camp car cat chair child city clock cloud coat cold
    come cook corn cow cup dance dark day desk dog door down draw dream drink duck ear earth east egg exit eye
    face farm fast father field fire fish five flag floor flower food foot forest four fox free fresh friend
    frog fruit game garden girl give glass gold good grass great hand happy hat head heart hello help hill
    home horse hot hotel house ice iron jump keep key king kite lake lamp leaf left letter life light lion
    long look love make map market milk mirror money moon morning mother mouse music name new night north
    ocean office open orange paper park pen phone piano plane plant queen quiet rain read ring river road
    rock room rose salt sand school sea ship shop sing sky small snow song south star stone stop storm
    street sugar summer sun table tea ten time town toy train travel tree under wall warm water week west
    wheel wind window winter wood word world yellow young zebra zero
    """.split()
)
CHINESE_WORDS = tuple(
    """
    苹果 书本 面包 汽车 城市 时钟 白云 大门 早上 晚上 火车 鲜花 朋友 花园 小狗 小猫 学校 音乐 手机 河流
    太阳 月亮 星星 桌子 椅子 牛奶 雨水 山水 海洋 飞机 老师 学生 中国 北京 上海 春天 夏天 秋天 冬天 世界
    """.split()
)
NAMES = ("Mia", "Tom", "Ana", "Ben", "Lily", "Sam", "Eva", "Max", "Zoe", "Leo", "Ming", "Yan")
PLURAL_THINGS = ("apples", "books", "coins", "cards", "pens", "stamps", "shells", "eggs", "toys", "cups")
ANIMALS = ("cat", "dog", "fox", "bird", "frog", "horse", "mouse", "duck", "lion", "cow")
