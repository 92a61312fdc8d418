"""Preferences: collected from several models by a ranker, and what a reward model makes of those held out."""

from mimovl.preference.collect import collect_preferences
from mimovl.preference.rank import Choice, Ranking, rank_pairs
from mimovl.preference.report import Judged, report_text, reward_report

__all__ = [
    "Choice",
    "Judged",
    "Ranking",
    "collect_preferences",
    "rank_pairs",
    "report_text",
    "reward_report",
]
