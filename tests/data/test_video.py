import builtins
import io
import struct
import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mimovl.data import video
from mimovl.data.video import open_video
from mimovl.data.video_sampling import VideoSettings, sample_frames
from mimovl.errors import MediaError, MissingExtraError
from tests.data.small import encoded, noise

SETTINGS = VideoSettings()


def grey(level, size=(64, 48)):
    return Image.new("RGB", size, (level,) * 3)


def levels(clip):
    """What each kept frame shows, in steps of 8 grey levels (lossy codecs move a level by less)."""
    return [round(frame.getpixel((5, 5))[0] / 8) for frame in clip.frames]


def animation(format, shown, milliseconds):
    """Frames of grey levels 8·n, each shown for some time."""
    frames = [grey(8 * number) for number in shown]
    lossless = {"lossless": True} if format == "WEBP" else {}
    return encoded(
        frames[0], format, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, **lossless
    )


def movie(
    count=24, fps=8, *, times=None, format="mp4", codec="mpeg4", size=(64, 48), gop=12, noisy=False, options=None,
    shown=None,
):  # fmt: skip
    """A film of grey levels 8·n or of one picture, at a fixed rate or with a time in seconds for each frame."""
    av = pytest.importorskip("av", reason="PyAV reads containers; pip install 'mimovl[video]'")
    buffer = io.BytesIO()
    clock = Fraction(1, 1000)
    with av.open(buffer, "w", format=format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.gop_size = gop
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if times is not None:
            stream.codec_context.time_base = stream.time_base = clock
        for number in range(count):
            picture = shown or (noise(*size, number) if noisy else grey(8 * number % 256, size))
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 1000), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


# ---------------------------------------------------------------- which frames


@given(num_frames=st.integers(1, 3000), fps=st.floats(0.5, 60), target=st.floats(0.5, 8))
def test_sampled_frames_are_even_in_number_ascending_and_within_bounds(num_frames, fps, target):
    chosen = sample_frames(num_frames, fps, VideoSettings(fps=target))
    assert chosen == sorted(set(chosen))
    assert 0 <= chosen[0] and chosen[-1] < num_frames
    if num_frames == 1:
        assert chosen == [0]
        return
    assert len(chosen) % 2 == 0
    assert len(chosen) <= SETTINGS.max_frames
    assert len(chosen) >= min(SETTINGS.min_frames, num_frames // 2 * 2)
    gaps = np.diff(chosen)
    assert gaps.max() - gaps.min() <= 1, "not uniform"


def test_two_frames_a_second_are_kept():
    assert sample_frames(80, 8.0, SETTINGS) == list(range(0, 80, 4))
    assert len(sample_frames(30 * 600, 30.0, SETTINGS)) == 256


# ---------------------------------------------------------------- animations


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_an_animation_keeps_its_frames_rate_and_seconds(format):
    clip = open_video(animation(format, range(24), 500))
    assert levels(clip) == list(range(24))
    assert (clip.fps, clip.seconds) == (2.0, 12.0)


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_a_fast_animation_is_thinned_to_two_frames_a_second(format):
    clip = open_video(animation(format, range(30), 100))
    assert levels(clip) == [0, 5, 10, 15, 20, 25]
    assert clip.seconds == pytest.approx(3.0)


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_equal_neighbours_keep_their_time(format):
    """Writers of animations merge them: one object visible from second 3 to 7 becomes three long frames."""
    shown = [0] * 6 + [20] * 8 + [0] * 6
    clip = open_video(animation(format, shown, 500))
    assert levels(clip) == shown
    assert clip.seconds == pytest.approx(10.0)


def test_uneven_frames_are_shown_at_their_times():
    clip = open_video(animation("GIF", [0, 5, 10], [3000, 500, 1500]))
    assert levels(clip) == [0, 0, 0, 0, 0, 0, 5, 10, 10, 10]


def test_a_clip_in_which_nothing_changes_lasts_as_long_as_it_is_said_to():
    """PIL stores it as a still picture without a duration."""
    data = animation("PNG", [3] * 20, 500)
    assert levels(open_video(data, seconds=10.0)) == [3] * 20
    assert open_video(data, seconds=10.0).seconds == 10.0
    assert open_video(animation("PNG", range(8), 500), seconds=99.0).seconds == 4.0, "the file's own word comes first"


def test_a_still_picture_is_a_clip_of_one_frame():
    clip = open_video(encoded(noise(20, 20)))
    assert (len(clip.frames), clip.seconds) == (1, 0.5)


@pytest.mark.parametrize(("count", "kept"), [(2, 2), (3, 2), (4, 4), (5, 4), (7, 6)])
def test_odd_clips_are_made_even_and_keep_their_seconds(count, kept):
    clip = open_video(animation("PNG", range(count), 500))
    assert len(clip.frames) == kept
    assert clip.seconds == pytest.approx(count / 2)


def test_the_default_image_of_an_animated_png_is_not_part_of_the_clip():
    frames = [grey(8 * number) for number in range(6)]
    data = encoded(frames[0], save_all=True, append_images=frames[1:], duration=500, default_image=True)
    assert levels(open_video(data)) == [1, 2, 3, 4]


def test_transparent_frames_lie_over_white():
    frames = [Image.new("RGBA", (8, 8), (0, 0, number, 0)) for number in range(4)]
    data = encoded(frames[0], save_all=True, append_images=frames[1:], duration=500)
    assert {frame.getpixel((2, 2)) for frame in open_video(data).frames} == {(255, 255, 255)}


# ---------------------------------------------------------------- containers


@pytest.mark.parametrize(
    ("format", "codec"),
    [("mp4", "mpeg4"), ("mp4", "libx264"), ("matroska", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4")],
)
def test_containers_keep_frames_rate_and_seconds(format, codec):
    """AVI begins with RIFF like WebP does."""
    clip = open_video(movie(24, 8, format=format, codec=codec))
    assert levels(clip) == [0, 4, 8, 12, 16, 20]
    assert (clip.fps, clip.seconds) == (pytest.approx(2.0), pytest.approx(3.0))


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1]), (5, [0, 1, 2, 3])])
def test_short_films(count, expected):
    clip = open_video(movie(count, 24))
    assert levels(clip) == expected
    assert clip.seconds == pytest.approx(count / 24)


def test_frames_of_unequal_length_are_shown_at_their_times():
    """A screen recording: two changes at once, a pause of four seconds, two more."""
    clip = open_video(movie(6, 30, times=[0, 0.1, 0.2, 4.0, 4.1, 8.0], codec="libx264", format="matroska"))
    step = clip.seconds / len(clip.frames)
    expected = [max(n for n, at in enumerate([0, 0.1, 0.2, 4.0, 4.1, 8.0]) if at <= k * step + 1e-3) for k in range(16)]
    assert levels(clip)[:16] == expected


@pytest.mark.parametrize(
    ("matrix", "top_left"),
    [
        ((1, 0, 0, 1), "top left"),
        ((-1, 0, 0, 1), "top right"),
        ((1, 0, 0, -1), "bottom left"),
        ((-1, 0, 0, -1), "bottom right"),
        ((0, 1, 1, 0), "top left"),
        ((0, 1, -1, 0), "bottom left"),
        ((0, -1, 1, 0), "top right"),
        ((0, -1, -1, 0), "bottom right"),
        ((0.9, 0.1, -0.1, 0.9), "top left"),
    ],
)
def test_a_film_is_turned_and_mirrored_as_its_display_matrix_says(matrix, top_left):
    """Phones store portrait films lying down and those of their front camera mirrored.

    Of the stored frame each corner has a level of its own; ``top_left`` is the one that is shown there.
    """
    corners = {"top left": 0, "top right": 8, "bottom left": 16, "bottom right": 24}
    frame = np.zeros((32, 64, 3), np.uint8)
    for name, level in corners.items():
        rows, columns = name.split()
        frame[(0 if rows == "top" else 16) :][:16, (0 if columns == "left" else 32) :][:, :32] = level * 8
    data = bytearray(movie(4, 2, size=(64, 32), shown=Image.fromarray(frame)))
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 4 + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    shown = open_video(bytes(data)).frames[0]
    assert shown.size == ((32, 64) if abs(matrix[0]) < 0.5 else (64, 32))
    assert round(shown.getpixel((5, 5))[0] / 8) == corners[top_left]


def test_only_sampled_frames_are_turned_into_pictures(monkeypatch):
    """A minute of film is thousands of frames; all of them at once would fill the memory."""
    av = pytest.importorskip("av", reason="PyAV reads containers; pip install 'mimovl[video]'")
    data = movie(48, 24)
    alive = []
    monkeypatch.setattr("mimovl.data.video._upright", lambda frame: alive.append(1) or frame.to_image())
    assert len(open_video(data).frames) == len(alive) == 4
    assert av.__name__ == "av"


@pytest.mark.parametrize(("format", "codec"), [("mp4", "libx264"), ("mp4", "mpeg4"), ("matroska", "libx264")])
def test_a_long_film_is_decoded_from_the_keyframes_before_its_samples(monkeypatch, format, codec):
    """Five minutes at 8 frames a second: 2,400 frames, 256 of them kept; what lies between keyframes is jumped over."""
    data = movie(2400, 8, format=format, codec=codec, size=(32, 32), gop=5)
    settings = VideoSettings(max_frames=64, spacing="ends")
    taken = []
    jumping = video._first_from

    def count(decoded, stamp):
        return jumping((taken.append(1) or frame for frame in decoded), stamp)

    monkeypatch.setattr(video, "_first_from", count)
    clip = open_video(data, settings)
    assert len(taken) < 2400 / 4
    expected = sample_frames(2400, 8.0, settings)
    assert levels(clip) == [round(number * 8 % 256 / 8) for number in expected]
    assert clip.times == pytest.approx([number / 8 for number in expected], abs=1e-3)
    monkeypatch.setattr(video, "WORTH_A_SEEK", 10**9)
    straight = open_video(data, settings)
    assert [one.tobytes() for one in clip.frames] == [two.tobytes() for two in straight.frames]


def test_a_film_whose_index_leads_astray_is_read_from_its_beginning(monkeypatch):
    data = movie(400, 8, size=(32, 32), gop=5)
    settings = VideoSettings(max_frames=8)
    honest = open_video(data, settings)
    real = video.timing

    def lies(*arguments):
        found = real(*arguments)
        return replace(found, keys=tuple(min(key + 7, 399) for key in found.keys))

    monkeypatch.setattr(video, "timing", lies)
    assert levels(open_video(data, settings)) == levels(honest)


@pytest.mark.parametrize("kind", ["animation", "film"])
def test_frames_are_fitted_as_they_are_read(kind):
    asked = []

    def fit(height, width, count):
        asked.append((height, width, count))
        return 28, 56

    data = animation("PNG", range(8), 500) if kind == "animation" else movie(8, 2)
    clip = open_video(data, fit=fit)
    assert set(asked) == {(48, 64, 8)}
    assert {frame.size for frame in clip.frames} == {(56, 28)}
    assert levels(clip) == list(range(8))


# ---------------------------------------------------------------- refusals


def reason(data, **options):
    with pytest.raises(MediaError, match="^the clip: ") as caught:
        open_video(data, name="the clip", **options)
    return caught.value.reason


def test_an_empty_file_and_files_that_are_no_clips():
    assert reason(b"") == "empty_file"
    pytest.importorskip("av", reason="PyAV reads containers; pip install 'mimovl[video]'")
    for data in (b"x", b"hello world" * 100, encoded(noise(20, 20), "JPEG")[:200]):
        assert reason(data) in ("corrupt_video", "empty_video")


def test_a_file_with_sound_only_has_no_video_stream():
    av = pytest.importorskip("av", reason="PyAV reads containers; pip install 'mimovl[video]'")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert reason(buffer.getvalue()) == "empty_video"


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_a_truncated_animation(format):
    """A GIF does not say how many frames it has: of one that is cut short, the whole frames are read."""
    frames = [noise(60, 60, seed) for seed in range(8)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=500)
    assert reason(data[: len(data) // 2]) in ("corrupt_video", "not_an_image")


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_film(keep):
    data = movie(24, 8)
    assert reason(data[: int(keep * len(data))]) in ("corrupt_video", "empty_video")


def test_a_header_of_50000_by_50000_is_refused_without_decoding():
    raw = bytearray(animation("GIF", range(4), 500))
    struct.pack_into("<HH", raw, 6, 50_000, 50_000)
    assert reason(bytes(raw)) == "too_many_pixels"
    film = bytearray(movie(2, 2, format="avi", codec="rawvideo"))
    for side, reasons in ((50_000, ("too_many_pixels", "corrupt_video")), (16_000, ("too_many_pixels",))):
        struct.pack_into("<ii", film, film.index(b"strf") + 12, side, side)
        assert reason(bytes(film)) in reasons


def test_an_animation_of_too_many_frames_is_refused_with_both_numbers():
    data = bytearray(animation("PNG", range(4), 500))
    place = data.index(b"acTL")
    struct.pack_into(">I", data, place + 4, 1_000_000)  # a million frames, says the header
    struct.pack_into(">I", data, place + 12, zlib.crc32(data[place : place + 12]))
    with pytest.raises(
        MediaError, match=r"1000000 frames of 64×48 are 3,072,000,000 pixels, the limit .* is 536,870,910"
    ):
        open_video(bytes(data))


def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch):
    original = builtins.__import__

    def without_av(name, *arguments, **options):
        if name == "av":
            raise ImportError(name)
        return original(name, *arguments, **options)

    data = movie(4, 2)
    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(MissingExtraError) as caught:
        open_video(data, name="film.mp4")
    assert str(caught.value) == (
        "reading film.mp4 needs PyAV, which is not installed; run: pip install 'mimovl[video]'"
    )
    assert levels(open_video(animation("PNG", range(4), 500))) == [0, 1, 2, 3], "animations need no library"


@settings(max_examples=60)
@given(format=st.sampled_from(["PNG", "GIF", "WEBP", "mp4"]), data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_clip_or_a_reason(format, data):
    raw = bytearray(DAMAGED[format] or movie(6, 2))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        open_video(bytes(raw))
    except MediaError as error:
        assert error.reason in ("corrupt_video", "not_an_image", "too_many_pixels", "empty_video")


DAMAGED = {"mp4": b"", **{format: animation(format, range(6), 500) for format in ("PNG", "GIF", "WEBP")}}
