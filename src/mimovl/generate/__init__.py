"""Prompts in, completions out: the embedded engine with continuous batching, and scoring of given texts."""

from mimovl.generate.backend import RolloutEngine
from mimovl.generate.engine import Engine
from mimovl.generate.gathering import UnansweredError
from mimovl.generate.logprobs import read_messages, score_messages, token_logprobs
from mimovl.generate.sequence import Finished, RequestError
from mimovl.generate.team_engine import TeamEngine

__all__ = [
    "Engine",
    "Finished",
    "RequestError",
    "RolloutEngine",
    "TeamEngine",
    "UnansweredError",
    "read_messages",
    "score_messages",
    "token_logprobs",
]
