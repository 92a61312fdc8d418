import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data.clip_header import ClipHeader, clip_header, open_container, timing
from mimovl.data.video import open_video
from mimovl.errors import MediaError, MissingExtraError
from tests.data import small
from tests.data.test_video import animation, grey, movie

av = pytest.importorskip("av", reason="PyAV reads containers; pip install 'mimovl[video]'")

CONTAINERS = [
    ("mp4", "mpeg4"),
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("mpegts", "libx264"),
]


def decoded(data: bytes) -> ClipHeader:
    """Sides of the frames that decoding gives, and how many there are in how long."""
    with open_container(io.BytesIO(data), "clip") as container:
        found = timing(container, "clip")
    with open_container(io.BytesIO(data), "clip") as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    return ClipHeader(frames[0].height, frames[0].width, len(frames), found.duration)


def same(one: ClipHeader, two: ClipHeader) -> bool:
    sides = (one.height, one.width, one.num_frames) == (two.height, two.width, two.num_frames)
    return sides and one.duration == pytest.approx(two.duration, rel=1e-9)


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize(("format", "codec"), CONTAINERS)
@pytest.mark.parametrize(("count", "rate"), [(1, 24), (2, 24), (48, 24), (31, 30)])
def test_frames_and_seconds_of_a_film_are_those_that_decoding_finds(format, codec, count, rate):
    data = movie(count, rate, format=format, codec=codec, size=(64, 48), noisy=format == "mpegts")
    header = clip_header(data)
    assert same(header, decoded(data))
    assert (header.height, header.width, header.num_frames) == (48, 64, count)
    assert header.duration == pytest.approx(count / rate, rel=0.05)


@pytest.mark.parametrize("format", ["mp4", "matroska"])
def test_frames_of_unequal_length_are_timed_from_the_packets(format):
    times = [0, 0.1, 0.2, 4.0, 4.1, 8.0]
    data = movie(6, 30, times=times, codec="libx264", format=format)
    assert same(clip_header(data), decoded(data))
    assert clip_header(data).duration == pytest.approx(8.0, abs=0.1)


@pytest.mark.parametrize("last", [1, 300, 1700])
def test_a_last_frame_of_another_length_counts_for_what_it_lasts(last):
    """The index of an MP4 tells when its frames begin, and nothing of when the last one ends."""
    data = bytearray(movie(30, 30))
    place = data.index(b"stts") + 8
    entries, count, step = struct.unpack_from(">3i", data, place)
    assert (entries, count) == (1, 30)
    # One entry has no room for a second: the last frame's length is changed by that of the whole track and of the film.
    header = data.index(b"mdhd") + 4 + 12
    scale, duration = struct.unpack_from(">2i", data, header)
    struct.pack_into(">i", data, header + 4, duration + last - step)
    assert same(clip_header(bytes(data)), decoded(bytes(data)))


@pytest.mark.parametrize(("format", "codec"), [("matroska", "libx264"), ("webm", "libvpx"), ("flv", "libx264")])
@pytest.mark.parametrize(("count", "rate"), [(120, 24), (120, 60)])
def test_a_clock_of_milliseconds_loses_no_frame(format, codec, count, rate):
    """24 frames of 41 or 42 ms are a second, not 0.999 of one: two samples would be lost otherwise."""
    data = movie(count, rate, format=format, codec=codec)
    assert clip_header(data).duration == pytest.approx(count / rate, abs=1e-9)
    clip = open_video(data)
    assert (len(clip.frames), clip.fps) == (2 * count // rate, pytest.approx(2.0))


def test_of_a_long_film_only_the_index_is_read():
    data = movie(200, 24, size=(160, 128), noisy=True)
    file = Counted(data)
    assert clip_header(file).num_frames == 200
    assert file.taken < 0.2 * len(data)


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
@settings(max_examples=25)
@given(durations=st.lists(st.sampled_from([10, 40, 70, 500, 1250]), min_size=1, max_size=8))
def test_frames_and_seconds_of_an_animation_are_those_that_decoding_finds(format, durations):
    data = animation(format, range(len(durations)), durations if len(durations) > 1 else durations[0])
    header, clip = clip_header(data, seconds=3.0), open_video(data, seconds=3.0)
    assert (header.height, header.width, header.num_frames) == (48, 64, len(durations))
    if len(durations) > 1:
        assert header.duration == pytest.approx(sum(durations) / 1000)
    assert clip.seconds == pytest.approx(header.duration)


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_a_still_picture_lasts_as_long_as_it_is_said_to(format):
    data = animation(format, [3] * 20, 500) if format == "PNG" else small.encoded(grey(3), format)
    assert clip_header(data, seconds=10.0) == ClipHeader(48, 64, 1, 10.0)
    assert clip_header(data).duration == 0.5


def test_the_default_image_of_an_animated_png_is_no_frame():
    frames = [grey(8 * number) for number in range(6)]
    data = small.encoded(frames[0], save_all=True, append_images=frames[1:], duration=500, default_image=True)
    assert clip_header(data) == ClipHeader(48, 64, 5, 2.5)


def test_of_an_animation_no_pixel_is_read(monkeypatch):
    data = animation("WEBP", range(6), 500)

    def fail(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", fail)
    assert clip_header(data).num_frames == 6


def test_a_film_whose_index_promises_more_than_the_file_holds_is_refused_with_both_numbers(tmp_path):
    """Its index lies in front, so a cut file opens as if it were whole."""
    with av.open(io.BytesIO(movie(100, 24, size=(160, 128), noisy=True))) as source:
        with av.open(str(tmp_path / "film.mp4"), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
    data = (tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with pytest.raises(MediaError, match=r"film: its index promises 100 frames, the file holds \d+; it was cut short"):
        open_video(data[: len(data) // 2], name="film")


def test_files_that_are_no_clips():
    for data, reason in ((b"", "empty_file"), (b"hello" * 100, "corrupt_video")):
        with pytest.raises(MediaError, match="^the clip: ") as caught:
            clip_header(data, name="the clip")
        assert caught.value.reason == reason


def test_a_missing_library_is_named(monkeypatch):
    data = movie(4, 2)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"reading film.mp4 needs PyAV"):
        clip_header(data, name="film.mp4")


@settings(max_examples=60)
@given(format=st.sampled_from(["PNG", "GIF", "WEBP", "mp4"]), data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_header_or_a_reason(format, data):
    raw = bytearray(DAMAGED[format] or movie(6, 2))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        clip_header(bytes(raw))
    except MediaError as error:
        assert error.reason in ("corrupt_video", "not_an_image", "too_many_pixels", "empty_video")


DAMAGED = {"mp4": b"", **{format: animation(format, range(6), 500) for format in ("PNG", "GIF", "WEBP")}}
