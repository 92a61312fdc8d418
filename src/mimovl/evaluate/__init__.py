"""A model's answers to held-out questions → scores with 95 % intervals, and paired comparisons of two models."""

from mimovl.evaluate.answers import read_answers
from mimovl.evaluate.baseline import MedianBaseline
from mimovl.evaluate.compare import SAMPLED, Comparison, Difference, TaskComparison, compare_answers
from mimovl.evaluate.extras import Extra
from mimovl.evaluate.runner import evaluate
from mimovl.evaluate.scoring import mean_reward, score_answers
from mimovl.evaluate.statistics import Estimate, bootstrap_mean, clustered_proportion, wilson_interval
from mimovl.evaluate.task import MODES, Mode, Task
from mimovl.evaluate.tasks import WORLD_TASKS, task_for_gold, tasks_for

__all__ = [
    "MODES",
    "SAMPLED",
    "WORLD_TASKS",
    "Comparison",
    "Difference",
    "Estimate",
    "Extra",
    "MedianBaseline",
    "Mode",
    "Task",
    "TaskComparison",
    "bootstrap_mean",
    "clustered_proportion",
    "compare_answers",
    "evaluate",
    "mean_reward",
    "read_answers",
    "score_answers",
    "task_for_gold",
    "tasks_for",
    "wilson_interval",
]
