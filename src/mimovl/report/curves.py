"""The curves of a run: loss by stage and source, speed, gradient norms; rewards, lengths and health of the RL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from mimovl.report.chart import Band, Series, line_chart
from mimovl.report.format import compact, finite, fixed, percent, significant
from mimovl.report.palette import in_order, lower_first, source_class, source_name, stage_title, task_class, task_name
from mimovl.report.run_directory import Record, Run, Stage, mapping, step_of
from mimovl.report.scale import Point, smooth, smooth_pieces

__all__ = ["GAP_LIMITS", "Figure", "RlCurves", "TrainingCurves", "rl_curves", "training_curves"]

GAP_LIMITS = {"float32": 1e-5, "bfloat16": 5e-3}
"""Mean |sampling − training log-probability| that updates must stay under to be truly on-policy, by the policy's type
of numbers; as the monitor has it, where the recipe names no other."""
_PARTS = ("vision", "projector", "language")


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, one line of words, and the colour class of its heading's mark (or none)."""

    title: str
    chart: Markup
    caption: str = ""
    css: str = ""


@dataclass(frozen=True)
class TrainingCurves:
    """Figures of the training stages and the sentence that sums them up."""

    base: list[Figure]
    loss: list[Figure]
    by_source: list[Figure]
    speed: list[Figure]
    summary: str


@dataclass(frozen=True)
class RlCurves:
    """Figures of the reinforcement learning and the sentence that sums them up."""

    overview: list[Figure]
    reward: list[Figure]
    length: list[Figure]
    kept: list[Figure]
    blanked: list[Figure]
    summary: str
    largest_gap: float | None


def _curve(metrics: tuple[Record, ...], read: Callable[[Record], object], offset: float = 0) -> list[Point]:
    points = ((offset + step_of(line), finite(read(line))) for line in metrics)
    return [(float(x), y) for x, y in points if y is not None]


def _change(points: list[Point], write: Callable[[float], str], bands: list[Band] | None = None) -> str:
    if len(points) < 2:
        return ""
    pieces = smooth_pieces(points, [band.end for band in (bands or [])[:-1]])
    return f"{write(pieces[0][0][1])} → {write(pieces[-1][-1][1])}"


def _figure(title: str, chart: Markup | None, caption: str = "", css: str = "") -> list[Figure]:
    return [Figure(title, chart, caption, css)] if chart else []


def _stage_label(stage: Stage) -> str:
    return f"Stage {stage.name.split('-')[0]}: {lower_first(stage_title(stage.name))}"


def training_curves(run: Run) -> TrainingCurves | None:
    """Loss by stage, loss by source, speed and gradient norms over all stages; None before any step."""
    stages = [stage for stage in run.training if stage.metrics]
    base = _base_figures(run)
    if not stages:
        return TrainingCurves(base, [], [], [], "The base parts, each on its own.") if base else None
    losses = {stage.name: _curve(stage.metrics, _field("loss")) for stage in stages}
    loss = []
    for stage in stages:
        points = losses[stage.name]
        chart = line_chart(
            f"Loss in {_stage_label(stage)}",
            [Series("loss", points, "t-stage")],
            write_y=fixed,
        )
        loss += _figure(_stage_label(stage), chart, _change(points, fixed), "t-stage")
    bands, offset = [], 0.0
    joined: dict[str, list[Point]] = {}
    whole: dict[str, list[Point]] = {"tokens_per_second": [], "mfu": [], "grad_norm": []}
    norms: dict[str, list[Point]] = {part: [] for part in _PARTS}
    for stage in stages:
        for source in {source for line in stage.metrics for source in mapping(line.get("loss_by_source"))}:
            read = _entry("loss_by_source", source)
            joined.setdefault(source, []).extend(_curve(stage.metrics, read, offset))
        for field, points in whole.items():
            points += _curve(stage.metrics, _field(field), offset)
        for part, points in norms.items():
            points += _curve(stage.metrics, _entry("grad_norm_by_part", part), offset)
        length = max(stage.steps_planned, stage.steps_done, 1)
        bands.append(Band(stage.name.split("-")[0], offset, offset + length))
        offset += length
    by_source = []
    for source in sorted(joined, key=lambda name: source_name(name).lower()):
        chart = line_chart(
            f"Loss on {source_name(source)}",
            [Series("loss", joined[source], source_class(source))],
            low=0.0,
            bands=bands,
            write_y=fixed,
        )
        by_source += _figure(source_name(source), chart, _change(joined[source], fixed, bands), source_class(source))
    figures = _speed_figures(whole, bands, _peak(stages)) + _norm_figures(whole["grad_norm"], norms, bands)
    return TrainingCurves(base, loss, by_source, figures, _training_summary(run, stages, losses))


def _speed_figures(curves: dict[str, list[Point]], bands: list[Band], peak: str) -> list[Figure]:
    """Tokens a second, and what share of the machine's peak they are."""
    figures = []
    for title, field, write, caption in (
        ("Tokens per second", "tokens_per_second", compact, ""),
        ("MFU", "mfu", _share, peak),
    ):
        series = [Series(title.lower(), curves[field], "t-stage")]
        chart = line_chart(title, series, low=0.0, bands=bands, write_y=write, write_tick=write)
        figures += _figure(title, chart, caption, "t-stage")
    return figures


def _norm_figures(norm: list[Point], parts: dict[str, list[Point]], bands: list[Band]) -> list[Figure]:
    """The norm of the whole gradient, and of each part's where more than one learns."""
    curves = {"Gradient norm": ("norm", norm, "before clipping")}
    learning = {part: points for part, points in parts.items() if any(y > 0 for _, y in points)}
    if len(learning) > 1:
        curves |= {f"Gradient norm: {part}": (part, points, "") for part, points in learning.items()}
    figures = []
    for title, (label, points, caption) in curves.items():
        chart = line_chart(title, [Series(label, points, "t-stage")], log=True, bands=bands)
        figures += _figure(title, chart, caption, "t-stage")
    return figures


def _peak(stages: list[Stage]) -> str:
    """What utilisation is a share of in each process, as the last step says."""
    peak = mapping(stages[-1].metrics[-1].get("peak"))
    tflops = finite(peak.get("tflops"))
    return f"of {significant(tflops)} TFLOP/s, {peak.get('source') or 'source unknown'}" if tflops else ""


def _base_figures(run: Run) -> list[Figure]:
    """Loss of each base part, then how often each attribute of a patch is told right."""
    figures = []
    for part in run.base:
        loss = _curve(part.metrics, _field("loss"))
        chart = line_chart(f"Loss of the base {part.name}", [Series("loss", loss, "t-stage")], write_y=fixed)
        figures += _figure(f"{part.name.capitalize()}: loss", chart, _change(loss, fixed), "t-stage")
    for part in run.base:
        for name in dict.fromkeys(name for line in part.metrics for name in mapping(line.get("accuracy"))):
            points = _curve(part.metrics, _entry("accuracy", name))
            chart = line_chart(
                f"Accuracy of {name}",
                [Series("accuracy", points, "t-stage")],
                low=0.0,
                y_values=(1.0,),
                write_y=_whole,
                write_tick=_whole,
            )
            figures += _figure(f"{part.name.capitalize()}: {name}", chart, "accuracy", "t-stage")
    return figures


def _field(name: str) -> Callable[[Record], object]:
    return lambda line: line.get(name)


def _entry(field: str, key: str) -> Callable[[Record], object]:
    return lambda line: mapping(line.get(field)).get(key)


def _training_summary(run: Run, stages: list[Stage], losses: dict[str, list[Point]]) -> str:
    tokens = sum(finite(stage.metrics[-1].get("tokens")) or 0 for stage in stages)
    images = sum(finite(stage.metrics[-1].get("images")) or 0 for stage in stages)
    steps = sum(stage.steps_done for stage in stages)
    seen = [f"{compact(tokens)} tokens"] if tokens else []
    seen += [f"{compact(images)} pictures and clips"] if images else []
    ends = [smooth(points)[-1][1] for points in losses.values() if points]
    text = f"{compact(steps)} steps" + (f" over {' and '.join(seen)}" if seen else "")
    return text + (f"; the last stage ends at a loss of {fixed(ends[-1])}." if ends else ".")


def rl_curves(run: Run) -> RlCurves | None:
    """Reward, log-probability gap, groups kept, entropy, and by task reward and length; None before any step."""
    stage = run.rl
    if stage is None or not stage.metrics:
        return None
    metrics = stage.metrics
    reward = _curve(metrics, _field("reward"))
    gap = _curve(metrics, _field("logprob_gap"))
    limit = _gap_limit(run)
    overview = _figure(
        "Mean reward",
        line_chart("Mean reward", [Series("reward", reward, "t-rl")], x_label="updates", write_y=fixed),
        _change(reward, fixed),
        "t-rl",
    )
    overview += _figure(
        "Log-probability gap",
        line_chart(
            "Mean absolute gap between sampling and training log-probabilities, logarithmic",
            [Series("gap", gap, "t-rl")],
            x_label="updates",
            log=True,
            write_y=_power,
            write_tick=_power,
            reference=(limit, "limit"),
        ),
        "sampling against training",
        "t-rl",
    )
    overview += _figure(
        "Groups kept",
        line_chart(
            "Share of groups kept",
            [Series("kept", _curve(metrics, _kept), "t-rl")],
            x_label="updates",
            low=0.0,
            y_values=(0.0, 1.0),
            write_y=_whole,
            write_tick=_whole,
        ),
        "neither all right nor all wrong",
        "t-rl",
    )
    for title, field, caption in (
        ("Entropy", "entropy", "nats per token"),
        ("Gradient norm", "grad_norm", ""),
        ("Held-out reward", "heldout_reward", "sampled as in training"),
        ("Gradient conflicts", "gradient_conflicts", "share of pairs of tasks that pull apart"),
        ("Tokens per second", "tokens_per_second", "of sampling"),
    ):
        points = _curve(metrics, _field(field))
        chart = line_chart(title, [Series(title.lower(), points, "t-rl")], x_label="updates", low=0.0)
        overview += _figure(title, chart, caption, "t-rl")
    gaps = [y for _, y in gap]
    return RlCurves(
        overview,
        _by_task(metrics, "reward_by_task", "Reward", fixed, shared=True),
        _by_task(metrics, "length_by_task", "Response length", significant, shared=False),
        _by_task(metrics, "kept_by_task", "Prompts that teach", _whole, shared=True),
        _by_task(metrics, "blanked_same_by_task", "Answers that stay", _whole, shared=True),
        _rl_summary(stage, reward, gaps, limit),
        max(gaps, default=None),
    )


def _gap_limit(run: Run) -> float:
    """The recipe's, else that of the numbers in which the policy is kept."""
    settings = mapping(run.settings.get("rl"))
    own = finite(mapping(mapping(settings.get("monitors")).get("gap")).get("limit"))
    dtype = mapping(settings.get("parallel")).get("parameter_dtype")
    return own if own and own > 0 else GAP_LIMITS.get(str(dtype or "float32"), max(GAP_LIMITS.values()))


def _kept(line: Record) -> float | None:
    sampled, kept = finite(line.get("groups_sampled")), finite(line.get("groups_kept"))
    return kept / sampled if sampled and kept is not None else None


def _power(value: float) -> str:
    return significant(value, 2) if value >= 0.01 else f"{value:.0e}".replace("e-0", "e−").replace("e-", "e−")


def _whole(value: float) -> str:
    return percent(value, 0)


def _share(value: float) -> str:
    """A share that may be small."""
    return percent(value, 0 if value >= 0.1 or value == 0 else 1)


def _by_task(
    metrics: tuple[Record, ...], field: str, name: str, write: Callable[[float], str], *, shared: bool
) -> list[Figure]:
    figures = []
    for task in in_order(task for line in metrics for task in mapping(line.get(field))):
        points = _curve(metrics, _entry(field, task))
        series = [Series(name.lower(), points, task_class(task))]
        chart = line_chart(
            f"{name}: {task_name(task)}",
            series,
            x_label="updates",
            low=0.0,
            y_values=(0.0, 1.0) if shared else (),
            write_y=write,
        )
        figures += _figure(task_name(task), chart, _change(points, write), task_class(task))
    return figures


def _rl_summary(stage: Stage, reward: list[Point], gaps: list[float], limit: float) -> str:
    curve = smooth(reward)
    text = f"{compact(stage.steps_done)} updates, each on fresh rollouts only."
    if len(curve) > 1:
        text += f" The mean reward of the sampled completions went from {fixed(curve[0][1])} to {fixed(curve[-1][1])}."
    if gaps:
        largest = max(gaps)
        side = "under" if largest <= limit else "over"
        text += f" The largest log-probability gap of any step was {significant(largest, 2)}, "
        text += f"{side} the limit of {significant(limit)}."
    return text
