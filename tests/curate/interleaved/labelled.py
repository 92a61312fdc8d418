"""Texts written for the tests, with the kind of knowledge they hold; English and Chinese."""

from __future__ import annotations

CHAPTER = """Chapter 4
Newton's Laws of Motion
Learning objectives
After this chapter students will be able to state the three laws and use them to solve problems.
Definition 4.1 The momentum of a body is the product of its mass and its velocity. Example 4.2 A cart of 2 kg moves at
3 m/s; therefore its momentum is 6 kg m/s. We now consider two bodies. Recall that the force on the first is opposite to
the force on the second. Exercises 1. A stone falls for 3 s. How far does it fall?"""

LESSON = """第三章 一元二次方程
学习目标：掌握一元二次方程的解法。
定义 3.1 只含有一个未知数，并且未知数的最高次数是二的方程叫做一元二次方程。例 1 解方程 x² − 5x + 6 = 0。
我们将方程左边因式
分解，由此可知 x = 2 或 x = 3。定理 3.2 当判别式大于零时，方程有两个不等的实数根。证明：略。
习题 3.1 试求下列方程的根。同学们可以先思考再动手。"""

ARTICLE = """Red fox
The red fox (Vulpes vulpes) is the largest of the true foxes and one of the most widely distributed members of the order
Carnivora.[1] It is found across the Northern Hemisphere, including most of North America, Europe and Asia.
Apart from its
large size, it differs from other species by its dark back.[2]
Etymology
Distribution and habitat
References
External links"""

ENTRY = """青铜器
青铜器是由青铜制成的各种器具，诞生于人类文明的青铜时代，是一种世界性文明的象征。青铜器又称吉金，主要成分为铜、锡和铅。
商周时期的青铜器分为食器、酒器、水器和乐器，具有很高的历史价值。
历史沿革
参考文献
外部链接"""

PRODUCT = """Dishwasher DW-60 User Manual
1. Installation
Warning: disconnect the power supply before installing the appliance. Connect the inlet hose to the cold water tap.
2. Operation
Press the power button. Turn the dial to the desired program. The default value is program 3.
3. Troubleshooting
If the appliance does not start, check that the door is closed.
4. Specifications
Voltage 230 V, power 1900 W. Warranty"""

SHEET = """智能电饭煲使用说明书
产品概述
技术参数：额定电压 220 V，额定功率 860 W。
注意事项
警告：请勿将内锅以外的容器放入。
操作：按下“开始”键，长按“预约”键三秒可恢复默认值。
故障排除
指示灯不亮时，请检查电源插头是否插好。保养"""

HOWTO = """A beginner's guide to growing tomatoes
What you will need
You can start seeds indoors six weeks before the last frost. Make sure the soil is warm. If you want larger fruit, we
recommend removing the side shoots.
Step 1: Sow the seeds
First, fill the pots. Then water them well. Don't forget to label the pots.
Step 2: Plant them out
Finally, move the plants to a sunny place. You should water them every day."""

TRAVEL = """北京三日游攻略
准备工作：首先，您需要提前预约故宫门票，建议您避开周末。
第一步 第一天上午您可以从天安门出发，接下来步行前往故宫。
第二步 第二天去长城，别忘了带水。推荐乘坐旅游专线。
如何省钱：您可以办理一张交通卡。"""

CLAIM = """United States Patent 9,999,999
Technical field
The present invention relates to a hinge for a folding display. In the prior art, hinges wear quickly. In one
embodiment,
the hinge comprises a first arm and a second arm, wherein said arm is coupled to the housing.
What is claimed is: 1. A hinge comprising a first arm. 2. The hinge of claim 1, wherein the arm is of steel."""

UTILITY = """一种可折叠的雨伞
技术领域
本实用新型涉及雨伞领域，尤其涉及一种可折叠的雨伞。
背景技术
现有技术中的雨伞收纳不便。
权利要求书
1. 一种可折叠的雨伞，其特征在于，包括伞杆和伞面，所述伞杆为三节。2. 根据权利要求1所述的雨伞，其特征在于，
所述伞面为双层。
具体实施例：本申请的伞面由尼龙制成。"""

LIFE = """Ada Lovelace (10 December 1815 – 27 November 1852)
Early life
She was born in London, the only child of Lord Byron. She studied mathematics under Augustus De Morgan and
married William
King in 1835. She became known for her notes on the Analytical Engine.
Death
She died at the age of 36.
Legacy"""

PERSON = """徐光启
徐光启（1562年4月24日—1633年11月8日），字子先，上海人。
早年经历
徐光启出生于上海的一个农民家庭，1604年考入翰林院，曾任教于白莲泾。
主要成就
他与利玛窦合译《几何原本》。
逝世
1633年病逝，享年七十一岁。"""

NONE_EN = """Hey everyone! So I went to the mall yesterday and omg the sale was amazing, I bought two pairs
of shoes lol. What did you
all do on the weekend? Let me know in the thread, see ya!"""

NONE_ZH = (
    """哈哈今天真的太开心啦！！跟闺蜜一起逛街，买了好多好看的衣服呀，晚上还吃了火锅，明天又要上班咯，大家晚安哦！"""
)

LABELLED = (
    ("textbook", CHAPTER), ("textbook", LESSON), ("encyclopedia", ARTICLE), ("encyclopedia", ENTRY),
    ("manual", PRODUCT), ("manual", SHEET), ("guide", HOWTO), ("guide", TRAVEL), ("patent", CLAIM), ("patent", UTILITY),
    ("biography", LIFE), ("biography", PERSON), ("other", NONE_EN), ("other", NONE_ZH),
)  # fmt: skip
