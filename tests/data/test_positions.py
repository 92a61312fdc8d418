from hypothesis import given
from hypothesis import strategies as st

from mimovl.data.positions import VisualSpan, mrope_positions
from tests.data import small


def positions(num_tokens, *visuals, rule="maximum"):
    return mrope_positions(num_tokens, visuals, small.config(text_after_video=rule)).tolist()


def test_text_counts_on_all_three_axes():
    assert positions(4) == [[0, 1, 2, 3]] * 3


def test_a_picture_has_rows_and_columns_and_no_time():
    """Two tokens of text, 2 by 3 merged cells, two tokens of text."""
    time, height, width = positions(10, VisualSpan(2, (1, 4, 6)))
    assert time == [0, 1] + [2] * 6 + [5, 6]
    assert height == [0, 1] + [2, 2, 2, 3, 3, 3] + [5, 6]
    assert width == [0, 1] + [2, 3, 4, 2, 3, 4] + [5, 6]


def test_a_clip_counts_absolute_time_at_two_positions_a_second():
    """Three frame pairs one second apart: 0, 2, 4 (MiMo-VL §2.1)."""
    time, height, width = positions(5, VisualSpan(1, (3, 2, 2), 1.0))
    assert time == [0, 1, 3, 5, 6]
    assert height == width == [0, 1, 1, 1, 6]


def test_the_time_step_follows_the_clips_rate_and_is_rounded_down():
    assert positions(7, VisualSpan(1, (5, 2, 2), 0.7))[0][1:6] == [1, 2, 3, 5, 6]  # floor of 0, 1.4, 2.8, 4.2, 5.6


def test_the_two_rules_differ_behind_long_clips_only():
    clip, short = VisualSpan(0, (10, 4, 4), 1.0), VisualSpan(0, (1, 4, 4), 1.0)
    assert positions(41, clip, rule="maximum")[0][-1] == 19
    assert positions(41, clip, rule="spatial")[0][-1] == 2
    assert positions(5, short, rule="maximum") == positions(5, short, rule="spatial")
    picture = VisualSpan(1, (1, 6, 2))
    assert positions(9, picture, rule="maximum") == positions(9, picture, rule="spatial")


def test_neighbouring_pictures_start_where_the_one_before_ended():
    _, height, width = positions(8, VisualSpan(0, (1, 4, 4)), VisualSpan(4, (1, 4, 4)))
    assert height == [0, 0, 1, 1, 2, 2, 3, 3]
    assert width == [0, 1, 0, 1, 2, 3, 2, 3]


spans = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.floats(0.1, 3)), max_size=4
)


@given(layout=spans, tail=st.integers(0, 4), rule=st.sampled_from(["maximum", "spatial"]))
def test_every_token_has_a_position_and_none_goes_back_in_text(layout, tail, rule):
    visuals, tokens = [], 0
    for text, frames, rows, columns, seconds in layout:
        visuals.append(VisualSpan(tokens + text, (frames, 2 * rows, 2 * columns), seconds))
        tokens = visuals[-1].start + visuals[-1].num_tokens(4)
    table = mrope_positions(tokens + tail, visuals, small.config(text_after_video=rule))
    assert table.shape == (3, tokens + tail)
    assert (table >= 0).all()
    inside = {place for visual in visuals for place in range(visual.start, visual.start + visual.num_tokens(4))}
    text = [table[:, place].tolist() for place in range(tokens + tail) if place not in inside]
    assert all(len(set(triple)) == 1 for triple in text)
    assert [triple[0] for triple in text] == sorted({triple[0] for triple in text})


def test_tokens_of_a_span_are_patches_over_four():
    assert VisualSpan(0, (3, 4, 6)).num_tokens(4) == 18
