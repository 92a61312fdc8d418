"""What a recipe of a reward model says: ``mimovl reward train RECIPE --out DIR``.

A recipe of its own and not a section of a run's: a reward model starts from a checkpoint that a run made, and the run
after it uses the model.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mimovl.curate.world import SOURCES, WorldConfig
from mimovl.recipe_model import RecipeModel
from mimovl.suggest import nearest
from mimovl.train.config import StageConfig

__all__ = ["PairsConfig", "RewardRecipe", "WorldPairsConfig"]

Share = Annotated[float, Field(ge=0, le=1)]
Items = dict[str, Annotated[int, Field(ge=0)]]


class WorldPairsConfig(RecipeModel):
    """Pairs of right and wrong answers about the embedded world."""

    world: WorldConfig = WorldConfig()
    """What the world draws."""
    train: Items = {}
    """Items to train on, by source."""
    calibration: Items = {}
    """Items whose pairs fit the map to [0, 1]; of scenes that are neither trained on nor held out."""
    heldout: Items = {}
    """Items whose pairs are reported; of scenes nothing else shows."""
    per_item: int = Field(default=2, ge=1)
    """Most pairs about one picture."""
    ties: Share = 0.1
    """Share of pairs that are one answer in two lengths."""
    longer_wrong: Share = 0.25
    """Share of held-out pairs whose wrong answer is the longer one; there are none in training, where length must tell
    nothing."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("train", "calibration", "heldout"):
            for source in getattr(self, name):
                if source not in SOURCES:
                    raise ValueError(f"pairs.world.{name} names source {source!r}{nearest(source, SOURCES)}")
            if not any(getattr(self, name).values()):
                raise ValueError(f"pairs.world.{name} has no item; name sources with their numbers of items")
        if self.ties + self.longer_wrong > 1:
            raise ValueError(f"ties {self.ties} and longer_wrong {self.longer_wrong} are more than all pairs")
        return self


class PairsConfig(RecipeModel):
    """Where the pairs are: made by the embedded world, or in folders of parquet files (``data/pair_folder``)."""

    world: WorldPairsConfig | None = None
    """Made by the embedded world."""
    train: str = ""
    """Folder of the pairs to train on."""
    calibration: str = ""
    """Folder of the pairs that fit the map to [0, 1]; not those trained on, which look better than they are."""
    heldout: str = ""
    """Folder of the pairs that are reported."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        folders = [name for name in ("train", "calibration", "heldout") if getattr(self, name)]
        if self.world and folders:
            raise ValueError(f"pairs has world and the folder {folders[0]}; give the one or all three folders")
        if not self.world and len(folders) < 3:
            missing = next(name for name in ("train", "calibration", "heldout") if name not in folders)
            raise ValueError(f"pairs has no {missing}; give folders train, calibration and heldout, or world")
        if len({getattr(self, name) for name in folders}) < len(folders):
            raise ValueError(
                "pairs.train, calibration and heldout must be three folders: a model is not judged on "
                "what it was trained or fitted on"
            )
        return self


class RewardRecipe(RecipeModel):
    """A reward model: from which checkpoint, on which pairs, how trained (MiMo-VL §3.2)."""

    name: str
    """Name of the model."""
    purpose: str = ""
    """What it is for, in a sentence."""
    seed: int = 0
    """Seed of the pairs, their order and the head."""
    workers: int = Field(default=1, ge=1)
    """Processes that share each step's packs, one thread each; results do not depend on it."""
    kind: Literal["multimodal", "text"] = "multimodal"
    """Of a vision-language model, or of a language model: text alone, its pairs have no pictures."""
    start: str
    """Checkpoint folder it starts from: of a vision-language model, as a run leaves them; embedded for the shipped base
    parts. A text model may also start from a language model (MiMo-7B or another of Qwen2's layout)."""
    pairs: PairsConfig
    """The pairs."""
    ties: Literal["keep", "drop"] = "keep"
    """Ties teach by their own likelihood (Davidson, 1970), or are left out and the rest is Bradley–Terry's."""
    centre: float = Field(default=0.01, ge=0)
    """Weight of the squared sum of a pair's rewards, which keeps rewards around zero; 0 for none."""
    empty_thought: bool = True
    """Answers are read after an empty thought, as MiMo-VL writes them when it does not think; false for a checkpoint
    whose answers never have one."""
    stage: StageConfig
    """The training; its parts may be vision, projector, language and reward, the head."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "reward" not in self.stage.train:
            raise ValueError("stage.train leaves out reward, the head, which begins at random; add it")
        if self.stage.loading:
            raise ValueError("stage.loading measures samples by their headers, which pairs have not; leave it out")
        if self.kind == "text" and (seen := [part for part in self.stage.train if part in ("vision", "projector")]):
            raise ValueError(f"stage.train has {seen[0]}, which a text reward model does not use; take it out")
        return self
