"""Prompts in, completions out: the embedded engine with continuous batching, and scoring of given texts."""

from mimovl.generate.engine import Engine
from mimovl.generate.logprobs import read_messages, score_messages, token_logprobs
from mimovl.generate.sequence import Finished
from mimovl.generate.team_engine import TeamEngine

__all__ = ["Engine", "Finished", "TeamEngine", "read_messages", "score_messages", "token_logprobs"]
