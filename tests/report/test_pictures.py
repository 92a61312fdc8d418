from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from mimovl.report.pictures import Embedded, Pictures
from mimovl.report.run_directory import read_run
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Media, Message, Part, Sample


def media(image: Image.Image, kind: str = "PNG", **more: object) -> Media:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    data = buffer.getvalue()
    frames = len(more["append_images"]) + 1 if "append_images" in more else 1  # type: ignore[arg-type]
    name = hashlib.sha256(data).hexdigest()
    return Media(name, "video" if frames > 1 else "image", data, *image.size, frames, 2.0 if frames > 1 else 0.0)


def stored(path: Path, *items: Media) -> Pictures:
    with DatasetWriter(path) as writer:
        for index, item in enumerate(items):
            message = Message("user", (Part(item.kind, media=item.sha256), Part("text", "?")))
            writer.add(Sample(f"s{index}", (message,), {item.sha256: item}))
    return Pictures([path])


def decoded(embedded: Embedded) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(embedded.uri.partition(",")[2])))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.effect_noise((width, height), 60 + seed).convert("RGB")


def test_a_small_picture_is_embedded_without_loss(tmp_path: Path) -> None:
    picture = noise(112, 84)
    one = media(picture)
    embedded = stored(tmp_path / "d", one).embed("s0", [one.sha256])
    assert embedded is not None and embedded.uri.startswith("data:image/png;base64,")
    assert (embedded.width, embedded.height, embedded.seconds) == (112, 84, 0.0)
    assert decoded(embedded).convert("RGB").tobytes() == picture.tobytes()


def test_a_photo_is_scaled_down_but_keeps_its_own_size_for_coordinates(tmp_path: Path) -> None:
    one = media(noise(1200, 900), "JPEG")
    embedded = stored(tmp_path / "d", one).embed("s0", [one.sha256])
    assert embedded is not None and embedded.uri.startswith("data:image/jpeg;base64,")
    assert (embedded.width, embedded.height) == (1200, 900)
    assert embedded.seen == (1204, 896)
    assert decoded(embedded).size == (480, 360)


def test_boxes_are_in_pixels_of_the_bound_that_the_dataset_was_made_with(tmp_path: Path) -> None:
    one = media(noise(640, 480), "JPEG")
    message = Message("user", (Part("image", media=one.sha256), Part("text", "?")))
    with DatasetWriter(tmp_path / "d") as writer:
        writer.notes["max_pixels"] = 200_000
        writer.add(Sample("s0", (message,), {one.sha256: one}))
    embedded = Pictures([tmp_path / "d"]).embed("s0", [one.sha256])
    assert embedded is not None
    assert embedded.seen == (504, 364)
    assert embedded.seen[0] * embedded.seen[1] <= 200_000


def test_a_clip_becomes_a_strip_in_equal_times(tmp_path: Path) -> None:
    shades = [Image.new("RGB", (56, 56), (10 * index, 0, 0)) for index in range(12)]
    one = media(shades[0], save_all=True, append_images=shades[1:], duration=500, loop=0)
    embedded = stored(tmp_path / "d", one).embed("s0", [one.sha256])
    assert embedded is not None and embedded.seconds == pytest.approx(6.0)
    strip = decoded(embedded)
    assert strip.size == (6 * 56, 56)
    shown = [strip.convert("RGB").getpixel((56 * index + 28, 28)) for index in range(6)]
    assert [pixel[0] for pixel in shown if isinstance(pixel, tuple)] == [10, 30, 50, 70, 90, 110]


def test_pictures_beyond_the_budget_are_left_out(tmp_path: Path) -> None:
    items = [media(noise(100, 100, seed)) for seed in range(4)]
    stored(tmp_path / "d", *items)
    pictures = Pictures([tmp_path / "d"], budget=90_000)
    made = [pictures.embed(f"s{index}", [item.sha256]) for index, item in enumerate(items)]
    assert [embedded is not None for embedded in made] == [True, True, False, False]
    assert sum(len(embedded.uri) for embedded in made if embedded) <= 90_000


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    one = media(noise(28, 28))
    pictures = stored(tmp_path / "d", one)
    assert pictures.embed("s0", []) is None
    assert pictures.embed("s0", ["0" * 64]) is None
    assert pictures.embed("nobody", [one.sha256 + "x"]) is None
    assert Pictures([tmp_path / "nowhere"]).embed("s0", [one.sha256]) is None


def test_bytes_that_are_no_picture_are_none(tmp_path: Path) -> None:
    data = b"not a picture"
    one = Media(hashlib.sha256(data).hexdigest(), "image", data, 10, 10)
    assert stored(tmp_path / "d", one).embed("s0", [one.sha256]) is None


def test_a_damaged_dataset_is_noted_once(finished_run: Path, own_run: Path) -> None:
    sample = Dataset.open(finished_run / "data" / "heldout")[0]
    (own_run / "data" / "heldout" / "media-00000.tar").unlink()
    pictures = Pictures(read_run(own_run).datasets)
    assert pictures.embed(sample.id, list(sample.media)) is None
    assert pictures.embed(sample.id, ["1" * 64]) is None
    (note,) = pictures.notes
    assert note.startswith("The pictures of data/heldout cannot be read:")
