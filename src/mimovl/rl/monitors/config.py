"""What a recipe says about the monitors of reinforcement learning: one section each, null where it is not wanted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mimovl.recipe_model import RecipeModel

__all__ = [
    "BlankedConfig",
    "CountingConfig",
    "EntropyConfig",
    "GapConfig",
    "HeldoutConfig",
    "LanguageConfig",
    "LengthConfig",
    "MonitorsConfig",
    "SpreadConfig",
]

Share = Annotated[float, Field(ge=0, le=1)]


class LengthConfig(RecipeModel):
    """Answers of a task that run away or collapse."""

    longer: float = Field(default=3.0, gt=1)
    """So many times the mean length of a task's first updates is running away."""
    shorter: Share = 0.33
    """So small a part of it is a collapse."""
    least: float = Field(default=16.0, ge=0)
    """Tokens by which the length must have changed: a short answer triples by a word."""
    cut: Share = 0.5
    """Share of a task's rollouts that the token limit cuts, from which on they run against it."""


class CountingConfig(RecipeModel):
    """Answers that say 1, 2, 3, … whatever the picture shows."""

    least: int = Field(default=3, ge=2)
    """How far an answer must count to be looked at."""
    share: Share = 0.5
    """Share of a task's answers about pictures that count so far, from which on they are compared."""
    same: Share = 0.9
    """Share of those that end at one number, for different right answers, from which on the picture does not matter."""
    longest: int = Field(default=50, ge=2)
    """An answer that counts beyond this counts for counting's sake."""
    repeats: int = Field(default=3, ge=2)
    """So does one that counts beyond 3 so many times, or to 3 twice as often."""
    endless: Share = 0.1
    """Share of answers that do either, from which on it is an alert."""


class BlankedConfig(RecipeModel):
    """Prompts asked again with a grey picture: an answer that stays the same never needed it."""

    share: Share = 0.02
    """Share of the prompts with pictures that are asked again; 0 for none. Each costs two more rollouts."""
    same: Share = 0.9
    """Share of a task's answers that stay word for word the same, drawn with the same seed, from which on it alerts."""
    least: int = Field(default=24, ge=1)
    """Answers of a task that must have been compared."""


class EntropyConfig(RecipeModel):
    """A policy that has stopped trying."""

    share: Share = 0.2
    """So small a part of the first updates' entropy is a collapse."""
    floor: float = Field(default=0.01, ge=0)
    """So is less than this, nats a token."""


class GapConfig(RecipeModel):
    """Sampling and training that do not compute the same policy."""

    limit: Annotated[float, Field(gt=0)] | None = None
    """Largest mean absolute difference of log-probabilities; unset: 1e-5 in float32, 5e-3 in bfloat16."""


class HeldoutConfig(RecipeModel):
    """Held-out prompts asked now and then, beside which the rising reward is held."""

    every: int = Field(default=10, ge=1)
    """Updates between two askings."""
    questions: int = Field(default=64, ge=2)
    """Held-out prompts, of all tasks in turn; always the same ones, sampled as in training with the same seeds."""
    rise: Share = 0.05
    """By how much the training reward must have risen."""
    follow: Share = 0.5
    """Part of that rise which held-out must be able to have followed (one-sided 95 %, three askings in a row)."""


class LanguageConfig(RecipeModel):
    """Answers in another script than the question's."""

    share: Share = 0.1
    """Share of a task's answers from which on it is an alert."""


class SpreadConfig(RecipeModel):
    """Groups whose rewards do not differ, and teach nothing."""

    stuck: Share = 0.95
    """Share of a task's groups that all earn the same without being solved, from which on it is an alert; those that
    are all solved count too, where there are any others."""
    solved: Share = 1.0
    """Share of a task's groups that are all solved, from which on its prompts are spent."""
    least: int = Field(default=24, ge=1)
    """Groups of a task that must have been seen."""


class MonitorsConfig(RecipeModel):
    """Watches over the known failures of reinforcement learning; each is a line of the log and part of the report."""

    enabled: bool = True
    """False for none of them."""
    window: int = Field(default=8, ge=1)
    """Updates whose figures are taken together, at the start to compare with and at the end to judge."""
    again: int = Field(default=25, ge=1)
    """Updates until an alert that lasts is given again."""
    examples: int = Field(default=2, ge=0)
    """Groups of rollouts written with an alert."""
    lengths: LengthConfig | None = LengthConfig()
    """Response lengths by task, running away or collapsing."""
    counting: CountingConfig | None = CountingConfig()
    """Counting 1, 2, 3, … whatever the picture shows."""
    blanked: BlankedConfig | None = BlankedConfig()
    """Answers that do not depend on the picture."""
    entropy: EntropyConfig | None = EntropyConfig()
    """Collapse of the entropy."""
    gap: GapConfig | None = GapConfig()
    """Log-probabilities of sampling and training that differ."""
    heldout: HeldoutConfig | None = None
    """Reward that rises while held-out does not; unset: held-out prompts are not asked while training."""
    language: LanguageConfig | None = LanguageConfig()
    """Answers in another script than the question's."""
    spread: SpreadConfig | None = SpreadConfig()
    """Rewards that do not differ within a group."""
