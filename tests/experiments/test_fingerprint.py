from __future__ import annotations

from pathlib import Path

import pytest

from experiments.fingerprint import checkpoint_hash, claim, ids_hash
from mimovl.errors import UsageError


def test_the_same_settings_are_found_again_and_others_refused_with_both_values(tmp_path: Path) -> None:
    file, made = tmp_path / "new" / "settings.json", tmp_path / "new" / "made"
    claim(file, made, {"steps": 3, "tasks": {"a": 1.0}})
    claim(file, made, {"steps": 3, "tasks": {"a": 1.0}})
    with pytest.raises(
        UsageError, match=r"made was made with tasks\.a 1\.0, and 2\.0 is asked for; give another --out"
    ):
        claim(file, made, {"steps": 3, "tasks": {"a": 2.0}})
    with pytest.raises(UsageError, match="with steps 3, and null is"):
        claim(file, made, {"tasks": {"a": 1.0}})  # and a setting that is gone


def test_what_nobody_knows_the_settings_of_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "made").touch()
    with pytest.raises(UsageError, match=r"made is there without settings\.json.*another --out"):
        claim(tmp_path / "settings.json", tmp_path / "made", {"steps": 3})


def test_a_checkpoint_is_known_by_its_configuration_and_weights(tmp_path: Path) -> None:
    found = set()
    for config, weights in (("{}", b"1"), ("{}", b"2"), ('{"a": 1}', b"2")):
        (tmp_path / "config.json").write_text(config)
        (tmp_path / "model.safetensors").write_bytes(weights)
        found.add(checkpoint_hash(tmp_path))
        (tmp_path / "README.md").write_text(config)
        assert checkpoint_hash(tmp_path) in found
    assert len(found) == 3


def test_names_count_in_their_order() -> None:
    assert ids_hash(["a", "b"]) != ids_hash(["b", "a"]) != ids_hash(["ba"])
