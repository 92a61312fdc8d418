import hashlib
import io
import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data import MIMO_VL_VIDEO, build_index, count_tokens, find_index
from mimovl.data.lengths import count_one, peek_at
from mimovl.errors import DataError, MediaError
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Media
from tests.data import small
from tests.data.test_video import animation, movie

PROCESSOR = small.processor()
AS_MIMO_VL = replace(PROCESSOR, video=MIMO_VL_VIDEO)


def image(data: bytes, width: int = 1, height: int = 1) -> Media:
    """A picture; the sides are wrong on purpose, they must come from the header."""
    return Media(hashlib.sha256(data).hexdigest(), "image", data, width, height)


def film(data: bytes) -> Media:
    return Media(hashlib.sha256(data).hexdigest(), "video", data, 1, 1)


def turned(orientation: int, format: str = "JPEG", size=(300, 120)) -> bytes:
    picture = small.noise(*size)
    exif = picture.getexif()
    exif[0x0112] = orientation
    return small.encoded(picture, format, exif=exif)


def long_side(width: int, height: int) -> bytes:
    return small.encoded(small.noise(width // 20, height // 20).resize((width, height)), "JPEG")


MEDIA = {
    "PNG": image(small.encoded(small.noise(201, 147))),
    "JPEG": image(small.encoded(small.noise(201, 147), "JPEG")),
    "progressive JPEG": image(small.encoded(small.noise(500, 99), "JPEG", progressive=True)),
    "WebP": image(small.encoded(small.noise(147, 201), "WEBP")),
    "JPEG turned left": image(turned(6)),
    "JPEG turned right": image(turned(8, size=(99, 400))),
    "PNG with EXIF": image(turned(6, "PNG")),
    "WebP with EXIF": image(turned(8, "WEBP")),
    "GIF": image(small.encoded(small.noise(64, 30), "GIF")),
    "TIFF turned": image(turned(6, "TIFF")),
    "beyond 4096 · 28² pixels": image(long_side(2600, 1800)),
    "very long": image(small.encoded(small.noise(900, 7))),
    "animated PNG": film(animation("PNG", range(24), 500)),
    "animated WebP": film(animation("WEBP", range(30), 100)),
    "animated GIF": film(animation("GIF", [0, 5, 10], [3000, 500, 1500])),
}
FILMS = {
    "MP4": {"codec": "libx264"},
    "MP4 of one frame": {"count": 1},
    "MP4 of 29.97 frames a second": {"count": 301, "fps": 30},
    "long MP4": {"count": 2400, "fps": 8, "size": (32, 32)},
    "MP4 of unequal frames": {"count": 6, "fps": 30, "times": [0, 0.1, 0.2, 4.0, 4.1, 8.0], "codec": "libx264"},
    "WebM": {"format": "webm", "codec": "libvpx"},
    "Matroska": {"format": "matroska", "codec": "libx264"},
    "AVI": {"format": "avi"},
}


def real(processor, *media: Media) -> int:
    return processor.encode(small.conversation(*media)).num_tokens


@pytest.mark.parametrize("name", MEDIA)
@pytest.mark.parametrize("processor", [PROCESSOR, AS_MIMO_VL], ids=["tiny", "mimo-vl"])
def test_tokens_counted_from_a_header_are_the_real_ones(name, processor) -> None:
    assert count_tokens(processor, small.conversation(MEDIA[name])) == real(processor, MEDIA[name])


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("processor", [PROCESSOR, AS_MIMO_VL], ids=["tiny", "mimo-vl"])
def test_tokens_counted_from_the_header_of_a_film_are_the_real_ones(name, processor) -> None:
    media = film(movie(**FILMS[name]))
    assert count_tokens(processor, small.conversation(media)) == real(processor, media)


@settings(max_examples=40)
@given(width=st.integers(1, 400), height=st.integers(1, 400), text=st.text("ab 圆\n", max_size=30))
def test_any_picture_and_text(width, height, text) -> None:
    if max(width, height) > 200 * min(width, height):
        return
    sample = small.conversation(image(small.encoded(small.noise(width, height))), question=text)
    assert count_tokens(PROCESSOR, sample) == PROCESSOR.encode(sample).num_tokens


def test_text_alone_and_many_pictures_with_a_clip() -> None:
    assert count_tokens(PROCESSOR, small.conversation()) == real(PROCESSOR)
    several = [media for name, media in MEDIA.items() if "very" not in name]
    assert count_tokens(PROCESSOR, small.conversation(*several)) == real(PROCESSOR, *several)


def test_the_largest_picture_and_the_longest_clip_are_what_the_paper_allows() -> None:
    """4096 visual tokens of a picture, 16,384 of a clip (MiMo-VL §4.1)."""
    text = real(AS_MIMO_VL)
    picture = count_tokens(AS_MIMO_VL, small.conversation(image(long_side(4000, 4000)))) - text
    clip = count_tokens(AS_MIMO_VL, small.conversation(film(movie(2400, 8, size=(640, 360))))) - text
    assert 4000 < picture <= 4096 + 3 and 14_000 < clip <= 16_384 + 3


def test_nothing_is_decoded() -> None:
    """The pixels are taken away; the header says enough."""
    jpeg = MEDIA["JPEG turned left"].data
    whole_film = movie(96, 24, codec="libx264")
    film_data = bytearray(whole_film)
    start, end = film_data.index(b"mdat") + 4, film_data.index(b"moov") - 4
    start = (start + end) // 2
    film_data[start:end] = bytes(end - start)
    for whole, cut in (
        (MEDIA["JPEG turned left"], image(jpeg[: jpeg.index(b"\xff\xda") + 20])),
        (film(whole_film), film(bytes(film_data))),
    ):
        sample = small.conversation(cut)
        assert count_tokens(PROCESSOR, sample) == real(PROCESSOR, whole)
        with pytest.raises(MediaError):
            PROCESSOR.encode(sample)


def test_a_sample_whose_placeholders_are_not_its_pictures_is_refused_before_it_is_read() -> None:
    sample = replace(small.conversation(), media={MEDIA["PNG"].sha256: MEDIA["PNG"]})
    with pytest.raises(DataError, match="sample s: its messages show 0 of the 1 images it holds"):
        count_tokens(PROCESSOR, sample)


# ---------------------------------------------------------------- an index


def write(folder, count: int = 12) -> Dataset:
    names = list(MEDIA)
    with DatasetWriter(folder) as writer:
        for number in range(count):
            media = [MEDIA[names[number % len(names)]]] if number % 3 else []
            writer.add(small.conversation(*media, id=f"s{number}", question="How many? " * (1 + number)))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return write(tmp_path_factory.mktemp("lengths") / "data")


def test_an_index_holds_the_real_length_of_every_sample(dataset) -> None:
    index = build_index(dataset, PROCESSOR)
    assert index.tokens.tolist() == [PROCESSOR.encode(sample).num_tokens for sample in dataset]
    assert index.problems == {} and index.rate > 0
    assert index.longer_than(60) == [n for n, tokens in enumerate(index.tokens) if tokens > 60]


def test_a_film_is_counted_where_it_lies_within_its_shard(tmp_path) -> None:
    films = [film(movie(**FILMS[name])) for name in ("MP4", "WebM", "AVI")]
    with DatasetWriter(tmp_path / "data") as writer:
        for number, media in enumerate(films):
            writer.add(small.conversation(MEDIA["PNG"], media, id=f"s{number}"))
    dataset = Dataset.open(tmp_path / "data")
    index = build_index(dataset, PROCESSOR)
    assert index.tokens.tolist() == [PROCESSOR.encode(sample).num_tokens for sample in dataset]


def test_only_headers_are_read_from_a_dataset(dataset, monkeypatch) -> None:
    monkeypatch.setattr(Dataset, "_read_media", lambda *_: pytest.fail("read a whole picture"))
    assert (build_index(dataset, PROCESSOR).tokens > 0).all()


def test_an_index_is_kept_in_the_dataset_and_read_the_next_time(tmp_path, monkeypatch) -> None:
    dataset = write(tmp_path / "data")
    assert find_index(dataset, PROCESSOR, dataset.path) is None
    seen = []
    first = build_index(dataset, PROCESSOR, dataset.path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)
    monkeypatch.setattr("mimovl.data.lengths.count_tokens", lambda *_: pytest.fail("counted again"))
    again = build_index(Dataset.open(dataset.path), PROCESSOR, dataset.path)
    assert again.tokens.tolist() == first.tokens.tolist() and again.seconds == first.seconds > 0
    (file,) = (dataset.path / "lengths").iterdir()
    facts = json.loads(pq.read_schema(file).metadata[b"mimovl"])
    assert facts["samples_per_second"] == pytest.approx(12 / first.seconds)


def test_an_index_of_another_processor_or_of_other_data_is_not_used(tmp_path) -> None:
    dataset = write(tmp_path / "data")
    build_index(dataset, PROCESSOR, dataset.path)
    assert find_index(dataset, AS_MIMO_VL, dataset.path) is None
    smaller = replace(PROCESSOR, image=replace(PROCESSOR.image, max_pixels=9 * 784))
    assert find_index(dataset, smaller, dataset.path) is None
    other = write(tmp_path / "other", 11)
    (tmp_path / "other" / "lengths").symlink_to(tmp_path / "data" / "lengths")
    assert find_index(other, PROCESSOR, other.path) is None


def test_a_damaged_index_is_made_again(tmp_path) -> None:
    dataset = write(tmp_path / "data")
    first = build_index(dataset, PROCESSOR, dataset.path)
    (file,) = (dataset.path / "lengths").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert build_index(dataset, PROCESSOR, dataset.path).tokens.tolist() == first.tokens.tolist()
    assert find_index(dataset, PROCESSOR, dataset.path) is not None


def test_a_sample_that_cannot_be_used_is_listed_and_the_others_are_counted(tmp_path) -> None:
    broken = image(MEDIA["PNG"].data[:20])
    samples = [small.conversation(id="a"), small.conversation(broken, id="b"), small.conversation(id="c")]
    index = build_index(samples, PROCESSOR)
    assert index.tokens[1] == 0 and index.tokens[0] == index.tokens[2] > 0
    assert list(index.problems) == [1] and index.problems[1].startswith("sample b, image ")
    with DatasetWriter(tmp_path / "data") as writer:
        for sample in samples:
            writer.add(sample)
    dataset = Dataset.open(tmp_path / "data")
    build_index(dataset, PROCESSOR, dataset.path)
    kept = find_index(dataset, PROCESSOR, dataset.path)
    assert kept is not None and kept.problems == index.problems


def test_a_sample_that_was_mended_is_counted_again(tmp_path) -> None:
    """What identifies a folder of other people's files are names and sizes, which mending may leave as they were."""
    whole, kept = small.conversation(id="b"), [small.conversation(id="a")]
    broken = [*kept, small.conversation(image(MEDIA["PNG"].data[:20]), id="b")]
    assert list(build_index(broken, PROCESSOR, tmp_path).problems) == [1]
    assert list(build_index(broken, PROCESSOR, tmp_path).problems) == [1]
    mended = build_index([*kept, whole], PROCESSOR, tmp_path)
    assert not mended.problems and mended.tokens[1] == count_tokens(PROCESSOR, whole)
    again = find_index([*kept, whole], PROCESSOR, tmp_path)
    assert again is not None and not again.problems and again.tokens.tolist() == mended.tokens.tolist()


def test_a_folder_that_may_not_be_written_to_goes_without(dataset, monkeypatch) -> None:
    def refuse(*_, **__):
        raise PermissionError("read-only")

    monkeypatch.setattr("mimovl.data.lengths.pq.write_table", refuse)
    assert len(build_index(dataset, PROCESSOR, dataset.path).tokens) == 12
    assert find_index(dataset, PROCESSOR, dataset.path) is None


def test_media_are_opened_one_at_a_time_and_closed() -> None:
    opened: list[io.BytesIO] = []

    def opens(key: str) -> io.BytesIO:
        assert all(file.closed for file in opened)
        opened.append(io.BytesIO(sample.media[key].data))
        return opened[-1]

    sample = small.conversation(MEDIA["PNG"], MEDIA["JPEG"], MEDIA["animated PNG"])
    assert count_tokens(PROCESSOR, sample, opens) == PROCESSOR.encode(sample).num_tokens
    assert len(opened) == 3 and all(file.closed for file in opened)


def test_samples_without_a_way_to_peek_are_read() -> None:
    sample, opens = peek_at([small.conversation(MEDIA["PNG"])], 0)
    assert opens(MEDIA["PNG"].sha256).read() == MEDIA["PNG"].data and sample.id == "s"
    assert count_one([sample], PROCESSOR, 0) == (real(PROCESSOR, MEDIA["PNG"]), "")


def test_workers_count_the_same(dataset, monkeypatch) -> None:
    monkeypatch.setattr("mimovl.data.lengths._COUNTED_TOGETHER", 5)
    here, there = build_index(dataset, PROCESSOR), build_index(dataset, PROCESSOR, workers=2)
    assert here.tokens.tolist() == there.tokens.tolist() and there.workers == 2
