"""The shape of the source, read with ``ast``: who imports whom, file sizes, mirrored tests, optional libraries."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mimovl"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 400

EVERYWHERE = {"types", "errors", "recipe_model", "suggest", "media_check"}
"""May be imported by everything: nouns and what makes one whole, errors, the base class of recipe sections, the
wording of a hint."""

STORE = {"store", "store_writer", "store_format", "byte_range", "atomic"}

ARROWS: dict[str, set[str]] = {
    # The pipeline's steps, as docs/ and CONTRIBUTING.md draw them.
    "model": set(),
    # Data needs the model's shapes (token ids, merge size); the model knows nothing of data.
    # It reads the folders that samples stream from.
    "data": {"model", "picture", "heap", *STORE},
    "generate": {"model", "data", "team"},
    "verify": set(),
    # FLOPs and memory from the model's shape alone; the trainer takes its FLOPs for utilisation, stages their workload.
    "plan": {"model"},
    "train": {"data", "model", "team", "plan", "heap"},
    "reward": {"verify", "model", "data", "recipe_load", "load_object"},
    "rl": {"train", "generate", "reward"},
    "evaluate": {"verify", "generate"},
    "curate": {"data", "picture", "recipe_load", "load_object", *STORE},
    "report": {"evaluate", *STORE},
    # What models prefer, as pairs; how well a reward model tells, with evaluation's intervals. It sees generation only
    # as the ``Generate`` protocol and training not at all.
    "preference": {"data", "evaluate"},
    # Leaves that several steps use.
    "team": set(),
    "heap": set(),
    "atomic": set(),
    "store_format": set(),
    "store_writer": {"store_format", "atomic"},
    "byte_range": set(),
    "picture": set(),
    "load_object": set(),
    "store": {"store_format", "store_writer", "byte_range"},
    "recipe_yaml": set(),
    "recipe_schema": {"recipe_yaml"},
    "recipe_load": {"recipe_schema", "recipe_yaml"},
    "types": set(),
    "errors": set(),
    "recipe_model": set(),
    "suggest": set(),
    "media_check": set(),
}
"""A part → the parts it may import, besides ``EVERYWHERE`` and whatever those may import themselves."""

TOP = {"recipe", "pipeline", "cli", "cli_curate", "__main__"}
"""Parts that put the steps together: they may import any part, and no step may import them."""

EVALUATE_REWARD = "evaluate also reports the reward that reinforcement learning would give the same completion"
EXTRA_ARROWS = {("evaluate", "reward"): EVALUATE_REWARD}
"""Arrows beyond the drawing, each with its reason."""

UNTESTED: dict[str, str] = {
    "__init__.py": "only re-exports",
    "__main__.py": "hands over to the command line; tests/pipeline/test_train.py starts it under torchrun",
    "types.py": "nouns that compute nothing; every other test uses them",
    "curate/step.py": "abstract classes that compute nothing; the tests of every step use them",
    "verify/math_forms.py": "nouns that compute nothing; the tests of math_read and math_compare use them",
    "verify/math_worker.py": "runs in the process that tests/verify/test_math_process.py starts",
}
"""Files (or names of files) without a test of their own name, each with the reason."""


def part_of(path: Path) -> str:
    """The folder of a file, or its name where it lies at the top."""
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[tuple[str, int]]:
    """Absolute dotted names of all that a file imports, with the line."""
    package = ["mimovl", *path.relative_to(SOURCE).parts[:-1]]
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8")), top_level_only):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            # ``from mimovl import cli`` and ``from .. import cli`` name a module, not a thing inside one
            names = [name.name for name in node.names] if module == "mimovl" else [""]
            for inner in names:
                yield f"{module}.{inner}".rstrip("."), node.lineno


def _nodes(tree: ast.AST, top_level_only: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if top_level_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node, top_level_only)


def reachable(part: str) -> set[str]:
    """All that a part may import: its arrows and theirs."""
    found: set[str] = set()
    waiting = [part]
    while waiting:
        for other in ARROWS[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found | EVERYWHERE | {other for (importer, other) in EXTRA_ARROWS if importer == part}


def test_the_source_was_found() -> None:
    assert len(FILES) > 20


def test_imports_follow_the_arrows() -> None:
    parts = {part_of(path) for path in FILES} - {"__init__"}
    unknown = parts - ARROWS.keys() - TOP
    assert not unknown, f"say in ARROWS what {unknown} may import"
    wrong = []
    for path in FILES:
        part = part_of(path)
        hidden = set() if part == "__main__" else {"cli"}
        allowed = (parts - hidden if part in TOP else reachable(part) if part in ARROWS else set()) | {part}
        for name, line in imports(path):
            words = name.split(".")
            if words[0] == "mimovl" and len(words) > 1 and words[1] in parts and words[1] not in allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {part} may not import {name}")
    assert not wrong, "\n".join(wrong)


def test_the_arrows_have_no_circle() -> None:
    def visit(part: str, above: tuple[str, ...]) -> None:
        assert part not in above, f"circle: {' → '.join([*above, part])}"
        for other in ARROWS[part] | {extra for (importer, extra) in EXTRA_ARROWS if importer == part}:
            visit(other, (*above, part))

    for part in ARROWS:
        visit(part, ())


def test_nothing_imports_the_command_line() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        if path.name != "__main__.py"  # it is the command line
        for name, line in imports(path)
        if name == "mimovl.cli" or name.startswith("mimovl.cli.")
    ]
    assert not wrong, wrong


def test_transformers_is_a_referee_in_tests_and_never_imported() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for name, line in imports(path)
        if name.split(".")[0] in {"transformers", "torchvision"}
    ]
    assert not wrong, wrong


def test_only_core_dependencies_are_imported_at_the_top_of_a_file() -> None:
    """An optional library is imported where it is used, so that the rest works without it; files of kernels, which
    consist of Triton, are."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {"pillow": "PIL", "pyyaml": "yaml"}
    core = {requirement.split(">")[0].split("=")[0].strip() for requirement in project["dependencies"]}
    allowed = {names.get(name, name.replace("-", "_")) for name in core}
    allowed |= {"pydantic_core", "markupsafe"}  # inseparable halves of pydantic and jinja2
    allowed |= {"mimovl", *sys.stdlib_module_names}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in FILES
        for name, line in imports(path, top_level_only=True)
        if name.split(".")[0] not in allowed | ({"triton"} if path.stem.endswith("_kernel") else set())
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_has_a_test_of_its_name() -> None:
    missing = []
    for path in FILES:
        relative = path.relative_to(SOURCE)
        if relative.name not in UNTESTED and relative.as_posix() not in UNTESTED:
            expected = ROOT / "tests" / relative.parent / f"test_{relative.name}"
            if not expected.is_file():
                missing.append(f"{relative} has no {expected.relative_to(ROOT)}")
    assert not missing, "\n".join(missing)


def test_no_exception_is_stale() -> None:
    gone = [name for name in UNTESTED if "/" in name and not (SOURCE / name).is_file()]
    assert not gone, gone


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_file_is_read_in_one_sitting_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= MAX_LINES, f"{lines} lines; the limit is {MAX_LINES}: split it"
    assert ast.get_docstring(ast.parse(text)), "begin with a docstring that says what this file is"
