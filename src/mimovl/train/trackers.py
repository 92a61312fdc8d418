"""Other people's dashboards beside ``metrics.jsonl``: TensorBoard, Weights & Biases, trackio, where a recipe asks.

    tracking: {to: [tensorboard, wandb], project: vision, wandb_mode: offline}

    tensorboard    RUN/tensorboard/STEP, one folder a step             tensorboard --logdir RUN/tensorboard
    wandb          RUN/wandb; a run a step, grouped by the recipe's name
    trackio        where trackio keeps its projects (TRACKIO_DIR); a run a step, likewise         trackio show

``metrics.jsonl`` is written always and is the record; a tracker that fails while a training runs is left behind with
one warning, because no dashboard is worth a training. One that cannot even begin is an error, before anything trains.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from mimovl.errors import MissingExtraError, UsageError
from mimovl.recipe_model import RecipeModel

__all__ = ["TrackerName", "Trackers", "Tracking", "TrackingConfig", "check_trackers", "flatten"]

TrackerName = Literal["tensorboard", "wandb", "trackio"]
TITLES: dict[str, str] = {"tensorboard": "TensorBoard", "wandb": "Weights & Biases", "trackio": "trackio"}


class TrackingConfig(RecipeModel):
    """Who is told each step's figures besides metrics.jsonl, and what utilisation is a share of."""

    to: tuple[TrackerName, ...] = ()
    """tensorboard, wandb, trackio: any of them; each is an extra of the same name."""
    project: str = Field(default="mimovl", min_length=1)
    """Project of wandb and trackio; the recipe's name groups its steps there."""
    wandb_mode: Literal["online", "offline"] = "online"
    """offline keeps all in RUN/wandb, for wandb sync to send later."""
    peak_tflops: Annotated[float, Field(gt=0)] | None = None
    """Peak of one process's device, TFLOP/s: what MFU is a share of. Unset: a known GPU's data sheet, or measured."""


def check_trackers(config: TrackingConfig | None) -> None:
    """Refuse now what would be missing when the first step begins.

    Raises:
        MissingExtraError: a tracker is not installed; says the install line.
    """
    for name in config.to if config else ():
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(TITLES[name], name, f"tracking.to: {name}")


@dataclass(frozen=True)
class Tracking:
    """What the steps of one run need to open their trackers."""

    config: TrackingConfig
    folder: Path
    """Of the run."""
    run: str
    """Name of the recipe."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Its values, shown beside the curves."""

    def open(self, step: str, *, at: int = 0) -> Trackers:
        """The trackers of one step.

        Args:
            step: name of its folder.
            at: steps it has done already; TensorBoard hides what an interrupted run wrote beyond.

        Raises:
            MissingExtraError: a tracker is not installed.
            UsageError: one cannot begin; says why.
        """
        check_trackers(self.config)
        opened = Trackers()
        for name in self.config.to:
            try:
                opened.add(name, _OPENERS[name](self, step, at))
            except Exception as error:  # each library has its own
                opened.close()
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                raise UsageError(
                    f"tracking.to: {TITLES[name]} cannot begin ({reason}); mend that, or take {name} out of tracking.to"
                    + (", or set tracking.wandb_mode to offline" if name == "wandb" else "")
                ) from error
        return opened

    def identity(self, step: str) -> str:
        """The same for a resumed step, another for another run of the same recipe."""
        return hashlib.sha256(f"{self.folder.resolve()}/{step}".encode()).hexdigest()[:16]


class _Tracker(Protocol):
    def log(self, figures: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class Trackers:
    """All trackers of a step as one."""

    def __init__(self) -> None:
        self._open: dict[str, _Tracker] = {}

    def add(self, name: str, tracker: _Tracker) -> None:
        """One more."""
        self._open[name] = tracker

    def log(self, values: Mapping[str, Any]) -> None:
        """Hand a line of metrics to each; one that fails is left behind with a warning."""
        figures = dict(flatten(values))
        for name in list(self._open):
            try:
                self._open[name].log(figures, int(values["step"]))
            except Exception as error:  # each library has its own
                del self._open[name]
                _left_behind(name, error)

    def close(self) -> None:
        """Write what they still hold."""
        for name in list(self._open):
            try:
                self._open.pop(name).close()
            except Exception as error:  # each library has its own
                _left_behind(name, error)


def _left_behind(name: str, error: Exception) -> None:
    warnings.warn(
        f"{TITLES[name]} failed ({error}) and is told nothing more of this step; metrics.jsonl has everything",
        RuntimeWarning,
        stacklevel=3,
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every finite number under its path, ``loss_by_source/world/gui``; words and what is not finite are left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)


class _TensorBoard:
    def __init__(self, tracking: Tracking, step: str, at: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        begin: Any = SummaryWriter  # untyped
        self._writer = begin(str(tracking.folder / "tensorboard" / step), purge_step=at + 1)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, tracking: Tracking, step: str, at: int) -> None:
        import wandb

        config = tracking.config
        self._run: Any = wandb.init(
            project=config.project,
            group=tracking.run,
            name=f"{tracking.run}/{step}",
            id=tracking.identity(step),
            config=dict(tracking.recipe),
            dir=str(tracking.folder),
            mode=config.wandb_mode,
            resume="allow" if config.wandb_mode == "online" else None,  # offline, the sync joins what has one id
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, save_code=False),
        )
        # Our own step, because wandb's cannot go back to where a killed run resumes.
        self._run.define_metric("*", step_metric="step")

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log({**figures, "step": step})

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, tracking: Tracking, step: str, at: int) -> None:
        import trackio

        self._run: Any = trackio.init(
            project=tracking.config.project,
            group=tracking.run,
            name=f"{tracking.run}/{step}-{tracking.identity(step)[:6]}",
            config=dict(tracking.recipe),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self._finish: Any = trackio.finish  # of the current run, which is ours; the run's own would leave it current

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log({name: value for name, value in figures.items() if name != "step"}, step=step)

    def close(self) -> None:
        self._finish()


_OPENERS: dict[str, type[_TensorBoard] | type[_Wandb] | type[_Trackio]] = {
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "trackio": _Trackio,
}
