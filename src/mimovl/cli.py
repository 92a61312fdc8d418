"""The command line: one verb a step.

    mimovl run recipes/tiny.yaml --out runs/tiny          everything, resumable
    mimovl train recipes/small.yaml --out runs/small      its training stages alone, also under torchrun
    mimovl evaluate runs/tiny/5-morl/model --out scores   a checkpoint on held-out questions
    mimovl import voc photos/ --out data                  photos with boxes → samples
    mimovl recipe explain recipes/tiny.yaml               every value, its meaning, where it came from
    mimovl init --vision QWEN --language MIMO --out CKPT  MiMo-VL from its published parts
    mimovl plan recipes/mimo-vl-7b.yaml --gpus 128        memory, days and cost, before anything starts
    mimovl logprobs CHECKPOINT --messages chat.json --out scored.json
    mimovl lengths DATASET --checkpoint CHECKPOINT        tokens of every sample, from headers
    mimovl report runs/tiny                               write report.html again
    mimovl decontaminate DATASET --against FOLDER_OR_TASK leave out what a benchmark asks about, with an audit
    mimovl curate RECIPE --out DIR                        sources and steps → a dataset, resumable
    mimovl verify audit labelled.jsonl                    how often the graders err, by category
    mimovl reward serve --port 8000                       rewards over HTTP
    mimovl preference collect FILE --out pairs            which of several models' answers a ranker prefers
    mimovl reward train recipes/reward-tiny.yaml --out rm a reward model from pairs, and what it is worth

A user's mistake is one line on stderr and exit code 2; ``MIMOVL_DEBUG=1`` shows where it was raised. Whatever is heavy
is imported inside its command, so that ``mimovl --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from mimovl import __version__
from mimovl.cli_curate import add_curation, progress_line
from mimovl.errors import MimovlError, Stopped, UsageError, plain_warning

__all__ = ["app", "main"]

_AFTER_INTERRUPT = {
    "run": "run the same command again to resume: finished steps are kept",
    "train": "run the same command again to resume from the last checkpoint",
    "rl": "run the same command again to resume from the last checkpoint",
    "evaluate": "run the same command again to resume: answers so far are kept",
    "curate": "run the same command again to resume: finished shards are kept",
    "reward": "run the same command again; a training goes on where it was",
    "preference": "run the same command again to resume: answers and rankings so far are kept",
}


class _Group(TyperGroup):
    """Turns our errors into one line and an exit code; everything else is a defect and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output went away: typer leaves quietly
        except Stopped as stop:
            print(stop, file=sys.stderr)
            raise typer.Exit(143) from None
        except (MimovlError, OSError) as error:
            if os.environ.get("MIMOVL_DEBUG") == "1":
                traceback.print_exc()
            print(f"error: {_words(error)}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            advice = _AFTER_INTERRUPT.get(ctx.invoked_subcommand or "", "nothing half-done was left behind")
            print(f"\ninterrupted; {advice}", file=sys.stderr)
            raise typer.Exit(130) from None


def _words(error: Exception) -> str:
    """An error as told: of a file in the way of a folder the system says only that it exists."""
    if isinstance(error, FileExistsError | NotADirectoryError) and isinstance(error.filename, str):
        path = Path(error.filename)
        if file := next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), None):
            return f"{file} is a file, where a folder is wanted; choose another path"
    return str(error)


def _typer(**settings: Any) -> typer.Typer:
    return typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None, **settings
    )


app = _typer(name="mimovl", cls=_Group, help="Curate, train, reinforce, evaluate and look at a vision-language model.")
import_app = _typer(help="Turn other people's data sets into samples.")
recipe_app = _typer(help="Look at recipes.")
app.add_typer(import_app, name="import")
app.add_typer(recipe_app, name="recipe")
verify_app = _typer(help="Look at the graders.")
app.add_typer(verify_app, name="verify")
reward_app = _typer(help="Reward completions.")
app.add_typer(reward_app, name="reward")
preference_app = _typer(help="Which answers are preferred.")
app.add_typer(preference_app, name="preference")
add_curation(app)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file, e.g. recipes/tiny.yaml.")]
Checkpoint = Annotated[Path, typer.Argument(metavar="CKPT", help="A checkpoint folder (Hugging Face layout).")]
RunFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run; an unfinished one resumes.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Override a value of the recipe; may be given again."),
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mimovl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Curate, train, reinforce, evaluate and look at a vision-language model."""


@app.command()
def run(recipe: RecipeFile, out: RunFolder, overrides: Overrides = None) -> None:
    """Run a whole recipe: data, training stages, reinforcement learning, evaluation, report."""
    from mimovl.pipeline.run import run as run_recipe

    run_recipe(recipe, out, overrides or [])


@app.command()
def train(recipe: RecipeFile, out: RunFolder, overrides: Overrides = None) -> None:
    """Run a recipe's data and training stages alone."""
    from mimovl.pipeline.train import train as train_recipe

    train_recipe(recipe, out, overrides or [])


@app.command()
def rl(
    recipe: RecipeFile,
    out: RunFolder,
    overrides: Overrides = None,
    start: Annotated[Path | None, typer.Option(metavar="CKPT", help="Begin from this checkpoint.")] = None,
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help="On Ray: address, auto or local.")] = None,
    engines: Annotated[int, typer.Option(min=1, metavar="N", help="Rollout engines on the cluster.")] = 1,
    reward_workers: Annotated[int, typer.Option(min=1, metavar="N", help="Reward workers on the cluster.")] = 8,
    engine_gpus: Annotated[float, typer.Option(min=0, metavar="N", help="GPUs of an engine on the cluster.")] = 0,
    trainer_gpus: Annotated[float, typer.Option(min=0, metavar="N", help="GPUs of the trainer on the cluster.")] = 0,
) -> None:
    """Run a recipe's reinforcement learning alone, after its stages or from any checkpoint."""
    from mimovl.pipeline.rl import Places, reinforce

    gpus = ({"num_cpus": 1, "num_gpus": count} for count in (engine_gpus, trainer_gpus))
    places = Places(engines, reward_workers, *gpus)
    reinforce(recipe, out, overrides or [], start=start, cluster=ray, places=places)


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for scores.json and answers.jsonl.")],
    dataset: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Held-out dataset; without it the embedded world's.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="TASK[,TASK]", help="Only these tasks; may be given again.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most so many questions a task.")] = None,
    thinking: Annotated[
        bool | None,
        typer.Option("--thinking/--no-thinking", help="One mode only; without it both.", show_default=False),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, metavar="T", help="Sample the answers; 0 is greedy.")] = 0.0,
) -> None:
    """Score a checkpoint on held-out questions, thinking and not, with 95 % intervals."""
    from mimovl.pipeline.evaluate import evaluate_checkpoint

    names = [name.strip() for entry in tasks or [] for name in entry.split(",") if name.strip()]
    options: dict[str, Any] = dict(dataset=dataset, tasks=names or None, limit=limit, temperature=temperature)
    options["modes"] = ("no_think", "thinking") if thinking is None else ("thinking",) if thinking else ("no_think",)
    evaluate_checkpoint(checkpoint, out, **options)


@app.command()
def init(
    vision: Annotated[Path, typer.Option(metavar="FOLDER", help="A Qwen2.5-VL checkpoint: its vision tower.")],
    language: Annotated[Path, typer.Option(metavar="FOLDER", help="A MiMo-7B checkpoint: its decoder and tokenizer.")],
    out: Annotated[Path, typer.Option("--out", metavar="CKPT", help="Folder to make.")],
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Draws the projector.")] = 0,
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="Of the stored weights: bf16, fp16 or fp32.")] = "bf16",
    shard_gb: Annotated[
        float, typer.Option(min=0.001, max=1e6, metavar="GB", help="Largest file of weights, in 10^9 bytes.")
    ] = 5.0,
) -> None:
    """Put MiMo-VL together: a vision tower, a language model and a new projector, streamed from file to file."""
    from mimovl.pipeline.assemble import assemble_checkpoint

    progress = progress_line("bytes") if sys.stderr.isatty() else None
    options: dict[str, Any] = dict(seed=seed, dtype=dtype, shard_bytes=int(shard_gb * 10**9), progress=progress)
    print(assemble_checkpoint(vision, language, out, **options))


@app.command()
def plan(
    recipe: RecipeFile,
    gpus: Annotated[int, typer.Option("--gpus", metavar="N", help="How many GPUs.")] = 1,
    gpu: Annotated[str, typer.Option(metavar="NAME", help="h100, h200, a100-80g, h20, b200 or rtx4090.")] = "h200",
    mfu: Annotated[float, typer.Option(help="Model FLOPs utilisation to reckon with.")] = 0.4,
    price_per_hour: Annotated[
        float | None, typer.Option(metavar="DOLLARS", help="Of one GPU; without it an assumed price.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Print what each stage takes in memory, days and money; say what to change where it does not fit."""
    from mimovl.pipeline.plan import plan_recipe
    from mimovl.pipeline.plan_text import plan_text
    from mimovl.plan import find_gpu
    from mimovl.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or [])
    print(plan_text(plan_recipe(loaded.recipe, gpus=gpus, gpu=find_gpu(gpu), mfu=mfu, price_per_hour=price_per_hour)))


@app.command()
def logprobs(
    checkpoint: Checkpoint,
    messages: Annotated[
        Path, typer.Option("--messages", metavar="FILE", help="OpenAI-style messages with local image and video paths.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON file: token ids and log-probabilities.")],
) -> None:
    """Score a conversation: the log-probability of each token given those before it."""
    from mimovl.generate.logprobs import score_messages

    score_messages(checkpoint, messages, out)


@app.command()
def lengths(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset folder, or one of parquet files.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", metavar="CKPT", help="The checkpoint that will read it.")],
    length: Annotated[int, typer.Option(min=1, metavar="N", help="Tokens of a pack.")] = 8192,
    workers: Annotated[int, typer.Option(min=0, metavar="N", help="Processes that count; 0 counts here.")] = 0,
) -> None:
    """Count every sample's tokens from headers, keep them in the dataset, and list what no pack can hold."""
    from mimovl.pipeline.lengths import index_lengths

    progress = progress_line("samples") if sys.stderr.isatty() else None
    print(index_lengths(dataset, checkpoint, length=length, workers=workers, progress=progress))


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that mimovl run wrote, finished or not.")],
) -> None:
    """Write a run's report.html again and print its path."""
    from mimovl.report import write_report

    if not any((directory / name).is_file() for name in ("recipe.yaml", "run.json")):
        why = "holds no recipe.yaml of a run" if directory.is_dir() else "no such run folder"
        raise UsageError(f"{directory}: {why}; give the --out of a mimovl run")
    print(write_report(directory))


@import_app.command("voc")
def import_voc(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Photos with Pascal-VOC XML files.")],
    out: Annotated[Path, typer.Option("--out", metavar="DATASET", help="Folder to make, with train and heldout.")],
    heldout: Annotated[
        int | None,
        typer.Option(metavar="N", help="Photos to hold out; a tenth where none is said.", show_default=False),
    ] = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Photos to hold out, one name a line, instead of --heldout.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the held-out photos and the order of questions.")] = 0,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=NAME", help="What to call a class, e.g. RBC='red blood cell'; may be given again."),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=3136, help="Bound of smart-resize; the model must use the same.")
    ] = 4096 * 28 * 28,
) -> None:
    """Photos with Pascal-VOC boxes → counting and grounding samples; what cannot be used is counted and listed."""
    from mimovl.curate.readers import import_voc as read_voc

    names = dict(_pair(entry) for entry in name or [])
    progress = progress_line("photos") if sys.stderr.isatty() else None
    options: dict[str, Any] = dict(heldout=heldout, split=split, seed=seed, names=names, progress=progress)
    print(read_voc(directory, out, max_pixels=max_pixels, **options))


@recipe_app.command("explain")
def explain(
    recipe: Annotated[Path, typer.Argument(metavar="FILE", help="A recipe of any kind.")],
    overrides: Overrides = None,
) -> None:
    """Print every effective value of a recipe with its meaning and where it came from."""
    from mimovl.pipeline.recipe_kinds import load_any_recipe
    from mimovl.recipe import explain as as_table
    from mimovl.recipe import explain_text

    loaded = load_any_recipe(recipe, overrides or [])
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(as_table(loaded))
    else:
        print(explain_text(loaded))


@verify_app.command("audit")
def verify_audit(
    labelled: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSONL: kind, completion, gold, label; options, reason, category.")
    ],
    mode: Annotated[
        Literal["strict", "mimo_compat"], typer.Option(help="Our rules, or those of the paper's suite.")
    ] = "strict",
    alone: Annotated[
        bool, typer.Option("--math-verify/--no-math-verify", help="Set Math-Verify alone beside ours on math.")
    ] = True,
    errors: Annotated[int, typer.Option(min=0, metavar="N", help="List at most so many errors.")] = 50,
) -> None:
    """Grade labelled answers: false positives and false negatives apart, by category, every error listed."""
    from mimovl.verify.audit import audit, audit_text, read_labelled

    print(audit_text(audit(read_labelled(labelled), mode, alone=alone, source=str(labelled)), errors=errors))


@reward_app.command("serve")
def reward_serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 lets the system choose; the address is printed.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Grading processes; one a core by default.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: rewards of one's own, reward models, limits, the token.")
    ] = None,
) -> None:
    """Serve rewards over HTTP until a signal says to stop; POST /v1/rewards, documentation at /docs."""
    from mimovl.reward.serve import serve

    serve(port, host=host, config=config, workers=workers)


@reward_app.command("train")
def reward_train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe, e.g. recipes/reward-tiny.yaml.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Its folder; an unfinished one resumes.")],
    overrides: Overrides = None,
) -> None:
    """Train a reward model on pairs; print accuracy, calibration and taste for length on pairs held out."""
    from mimovl.pipeline.reward_train import train_reward_model

    train_reward_model(recipe, out, overrides or [])
    print(f"model: {out / 'model'}\nreport: {out / 'report.json'}")


@preference_app.command("collect")
def preference_collect(
    recipe: Annotated[Path, typer.Argument(metavar="FILE", help="YAML: prompts, generators, ranker.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the pairs to make.")],
    overrides: Overrides = None,
) -> None:
    """Have several models answer and a ranker judge, each pair in both orders; ties and disagreements are kept."""
    from mimovl.pipeline.collect import collect

    summary = collect(recipe, out, overrides or [])
    verdicts = ", ".join(f"{count} {name}" for name, count in summary["verdicts"].items())
    place = summary["first_place_preferred"]
    low, high = place["interval"]
    print(f"{out}: {summary['pairs']} pairs of {summary['prompts']} prompts ({verdicts})")
    if place["n"]:
        print(f"the ranker names the answer shown first in {place['value']:.3f} of replies  [{low:.3f}, {high:.3f}]")
    elif summary["verdicts"]:
        print("the ranker never named an answer: its replies are not A, B or tie; ask a larger model")


def _pair(entry: str) -> tuple[str, str]:
    key, equals, value = entry.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--name {entry}: write it as CLASS=NAME, for example RBC='red blood cell'")
    return key.strip(), value


def main() -> None:
    """Entry point of the ``mimovl`` command."""
    warnings.formatwarning = plain_warning
    app(prog_name="mimovl")


if __name__ == "__main__":
    main()
