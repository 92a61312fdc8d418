import json
import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data import MIMO_VL_VIDEO, ChatTemplate, ImageSettings, Processor, VideoSettings, think
from mimovl.errors import CheckpointError, DataError, MediaError
from mimovl.types import IGNORE_INDEX, Media, Message, Part, Sample
from tests.data import small, templates

PROCESSOR = small.processor()
WORDS = PROCESSOR.tokenizer


def learned(encoded, processor=PROCESSOR):
    """The text that carries loss."""
    kept = encoded.labels[encoded.labels != IGNORE_INDEX]
    return processor.tokenizer.decode(kept.tolist(), keep_special=True)


def shown(encoded):
    """The text a model reads, each run of placeholders as one."""
    pads = (PROCESSOR.config.image_token_id, PROCESSOR.config.video_token_id)
    ids = encoded.tokens.tolist()
    kept = [token for n, token in enumerate(ids) if token not in pads or token != ids[n - 1]]
    return WORDS.decode(kept, keep_special=True)


# ---------------------------------------------------------------- what is learned


def test_loss_is_on_the_assistants_words_and_its_end_only():
    encoded = PROCESSOR.encode(small.conversation(small.picture(60, 90)))
    assert learned(encoded) == "<think>\n\n</think>\n\n12<|im_end|>"


def test_every_assistant_turn_is_learned_and_nothing_between():
    turns = [
        Message("system", (Part("text", text="You are an assistant\n."),)),
        small.user("assistant\nHow many?"),
        small.assistant("3"),
        small.user("Where? /no_think"),
        small.assistant(think("", "There.")),
    ]
    assert learned(PROCESSOR.encode(Sample("s", tuple(turns)))) == (
        "3<|im_end|><think>\n\n</think>\n\nThere.<|im_end|>"
    )


@settings(max_examples=80)
@given(answer=st.text("ab3 \n\t圆.", min_size=1, max_size=12), question=st.text("ab \n", max_size=5))
def test_an_answer_is_learned_to_the_letter_whatever_it_begins_with(answer, question):
    """Line breaks at its beginning may merge with the one behind the role."""
    encoded = PROCESSOR.encode(small.conversation(question=question, answer=answer))
    assert learned(encoded) in (answer + "<|im_end|>", "\n" + answer + "<|im_end|>")


def test_an_answer_that_begins_with_a_line_break_is_learned():
    """Here the break behind the role and the answer's own are one token."""
    assert len(WORDS.encode("\n\n")) == 1
    assert learned(PROCESSOR.encode(small.conversation(answer="\n12"))) == "\n\n12<|im_end|>"


def test_a_label_is_the_next_token():
    encoded = PROCESSOR.encode(small.conversation(small.picture(60, 90)))
    places = (encoded.labels != IGNORE_INDEX).nonzero().flatten()
    assert torch.equal(encoded.labels[places], encoded.tokens[places + 1])
    assert encoded.labels[-1] == IGNORE_INDEX
    assert encoded.num_labels == len(places)


def test_all_text_of_a_document_is_learned_and_none_of_its_pictures():
    first, second = small.picture(60, 90), small.picture(90, 60, 1)
    parts = (
        Part("text", text="A page. "),
        Part("image", media=first.sha256),
        Part("text", text=" More."),
        Part("image", media=second.sha256),
    )
    sample = Sample("d", (Message("assistant", parts),), {item.sha256: item for item in (first, second)})
    encoded = PROCESSOR.encode(sample)
    first_word = WORDS.decode(encoded.tokens[:1].tolist())
    assert first_word + learned(encoded) == "A page.  More.<|endoftext|>"


@pytest.mark.parametrize("document", [False, True])
def test_placeholders_are_never_learned(document):
    picture = small.picture(60, 90)
    part = Part("image", media=picture.sha256)
    said = Message("assistant", (Part("text", text="Look: "), part, Part("text", text=" there.")))
    sample = Sample("s", (said,) if document else (small.user("Draw it."), said), {picture.sha256: picture})
    assert not set(PROCESSOR.encode(sample).labels.tolist()) & set(PROCESSOR.config.visual_token_ids)


def test_a_sample_without_anything_to_learn_is_refused():
    with pytest.raises(DataError, match="sample s: no token carries loss; it needs an assistant turn with text"):
        PROCESSOR.encode(Sample("s", (small.user("How many?"),)))
    with pytest.raises(DataError, match="sample s: has no message"):
        PROCESSOR.encode(Sample("s", ()))


def test_templates_of_other_checkpoints_are_learned_from_alike():
    sample = small.conversation(small.picture(60, 90))
    for source in (templates.QWEN_VL, templates.HERMES_TOOLS):
        processor = replace(PROCESSOR, template=ChatTemplate(source))
        assert learned(processor.encode(sample), processor) == "<think>\n\n</think>\n\n12<|im_end|>"


# ---------------------------------------------------------------- prompts


def test_a_prompt_is_a_prefix_of_its_training_sample():
    sample = small.conversation(small.picture(131, 97))
    whole = PROCESSOR.encode(sample)
    prompt = PROCESSOR.encode_prompt(sample.messages[:1], sample.media)
    length = prompt.num_tokens
    assert torch.equal(whole.tokens[:length], prompt.tokens)
    assert torch.equal(whole.positions[:, :length], prompt.positions)
    assert torch.equal(whole.patches[0], prompt.patches[0])
    assert shown(prompt).endswith("<|im_start|>assistant\n")
    assert prompt.num_labels == 0


def test_thinking_is_switched_off_by_the_last_words_of_the_user():
    sample = small.conversation(small.picture(60, 90))
    for thinking, end in (
        (False, "circles? /no_think<|im_end|>"),
        (True, "circles?<|im_end|>"),
        (None, "circles?<|im_end|>"),
    ):
        prompt = PROCESSOR.encode_prompt(sample.messages[:1], sample.media, thinking=thinking)
        assert shown(prompt).endswith(end + "\n<|im_start|>assistant\n")


def test_a_conversation_can_be_scored_as_it_is():
    sample = small.conversation()
    scored = PROCESSOR.encode_prompt(sample.messages, sample.media, generate=False)
    assert torch.equal(scored.tokens, PROCESSOR.encode(sample).tokens)


# ---------------------------------------------------------------- pictures and clips


@settings(max_examples=40)
@given(sizes=st.lists(st.tuples(st.integers(1, 200), st.integers(1, 200)), min_size=1, max_size=3))
def test_a_picture_takes_one_token_for_every_four_patches_and_is_never_cut(sizes):
    pictures = [small.picture(width, height, n) for n, (width, height) in enumerate(sizes)]
    encoded = PROCESSOR.encode(small.conversation(*pictures))
    tokens = encoded.tokens.tolist()
    runs, inside = [], False
    for token in tokens:
        if token == PROCESSOR.config.image_token_id:
            runs = [*runs, 1] if not inside else [*runs[:-1], runs[-1] + 1]
        inside = token == PROCESSOR.config.image_token_id
    assert runs == [len(patches) // 4 for patches in encoded.patches]
    assert [rows * columns * frames for frames, rows, columns in encoded.grid_thw] == [len(p) for p in encoded.patches]
    assert shown(encoded).count("<|vision_start|><|image_pad|><|vision_end|>") == len(pictures)


def test_a_clip_has_its_true_time_step():
    clip = small.clip(12, 4.0)
    pixels, grid, seconds = PROCESSOR.visual(clip, name="clip")
    assert grid == (3, 4, 4)
    assert seconds == 1.0
    assert len(pixels) == 48


def test_a_clip_in_which_nothing_changes_lasts_as_long_as_its_record_says():
    still = small.encoded(small.noise(56, 56))
    _, grid, seconds = PROCESSOR.visual(Media("k", "video", still, 56, 56, 20, 2.0), name="clip")
    assert (grid[0], seconds) == (10, 1.0)


def test_a_long_clip_shrinks_to_its_token_budget():
    processor = replace(PROCESSOR, video=VideoSettings(max_tokens=48))
    pixels, (pairs, rows, columns), _ = processor.visual(small.clip(24, 2.0, 140, 84), name="clip")
    assert pairs == 12
    assert pairs * rows * columns // 4 <= 48
    assert len(pixels) == pairs * rows * columns
    free, (_, rows, columns), _ = PROCESSOR.visual(small.clip(24, 2.0, 140, 84), name="clip")
    assert (rows, columns) == (6, 10)
    assert len(free) > len(pixels)


def test_pictures_obey_the_pixel_bounds():
    processor = replace(PROCESSOR, image=ImageSettings(max_pixels=6 * 28 * 28))
    assert processor.encode(small.conversation(small.picture(400, 300))).grid_thw == [(1, 4, 4)]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "written",
    ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|im_start|>", "<|im_end|>\n<|im_start|>assistant\n"],
)
@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_control_tokens_typed_as_text_are_refused(written, role):
    """They would open turns, be learned as the assistant's, or take the place of a picture."""
    messages = [small.user("a", small.picture(60, 90)), small.assistant("b")]
    typed = Message(role, (Part("text", text=f"look {written} here"),))
    sample = replace(small.conversation(small.picture(60, 90)), messages=(typed, *messages))
    with pytest.raises(DataError, match=r"sample s: its text contains <\|[a-z_]+\|>, which only the chat template may"):
        PROCESSOR.encode(sample)
    with pytest.raises(DataError, match="sample prompt"):
        PROCESSOR.encode_prompt(sample.messages, sample.media)


def test_other_tokens_in_angle_brackets_are_ordinary_text():
    text = "<think> <|box_start|>(1,2)<|box_end|> <|endoftext|> <|im_starts|> <image>"
    assert learned(PROCESSOR.encode(small.conversation(answer=text))) == text + "<|im_end|>"


def test_a_picture_that_is_not_there_is_named():
    sample = replace(small.conversation(small.picture(60, 90)), media={})
    with pytest.raises(DataError, match=r"sample s: image '\w{64}' is named by a message but not in the sample"):
        PROCESSOR.encode(sample)


def test_a_clip_named_as_a_picture_is_refused():
    clip = small.clip(4, 2.0)
    sample = Sample("s", (Message("user", (Part("image", media=clip.sha256),)),), {clip.sha256: clip})
    with pytest.raises(DataError, match=r"sample s: image '\w+' is stored as video"):
        PROCESSOR.encode(sample)


def test_a_damaged_picture_is_named_with_its_sample():
    broken = replace(small.picture(60, 90), data=b"no picture")
    with pytest.raises(MediaError, match=r"sample s, image \w{12}: not a picture") as caught:
        PROCESSOR.encode(small.conversation(broken))
    assert caught.value.reason == "not_an_image"


@pytest.mark.parametrize(
    "source",
    [
        "{% for message in messages %}{{ message.content if message.content is string else 'x' }}{% endfor %}",
        "<|image_pad|><|image_pad|>",
        "<|video_pad|>",
    ],
)
def test_a_template_that_places_no_pictures_is_refused(source):
    processor = replace(PROCESSOR, template=ChatTemplate(source))
    with pytest.raises(DataError, match=r"sample s: the chat template writes \d visual placeholders for 1 pictures"):
        processor.encode(small.conversation(small.picture(60, 90)))


def test_text_that_is_not_unicode_is_named_with_its_sample():
    with pytest.raises(DataError, match="sample s: text with a lone surrogate"):
        PROCESSOR.encode(small.conversation(answer="bad \ud800"))


# ---------------------------------------------------------------- files


def test_settings_survive_the_files_of_a_checkpoint():
    original = replace(
        PROCESSOR,
        image=ImageSettings(min_pixels=4 * 784, max_pixels=50 * 784),
        video=VideoSettings(
            fps=1.0, min_frames=2, max_frames=8, min_pixels=784, max_pixels=9 * 784, max_tokens=77, spacing="ends"
        ),
        template=ChatTemplate(templates.QWEN_VL),
    )
    loaded = Processor.from_files(original.files(), original.config, where="here")
    assert (loaded.image, loaded.video, loaded.template.source) == (original.image, original.video, templates.QWEN_VL)
    assert loaded.files() == original.files()


def test_a_published_checkpoints_pixel_bounds_are_read():
    """``min_pixels`` and ``max_pixels`` where they are, or ``size`` with edges that are areas."""
    files = PROCESSOR.files()
    del files["video_preprocessor_config.json"]
    for table in (
        {"min_pixels": 3136, "max_pixels": 12_845_056},
        {"size": {"shortest_edge": 3136, "longest_edge": 12_845_056}},
        {"min_pixels": None, "max_pixels": 12_845_056, "size": {"shortest_edge": 3136, "longest_edge": 1}},
    ):
        files["preprocessor_config.json"] = json.dumps(table).encode()
        loaded = Processor.from_files(files, PROCESSOR.config, where="here")
        assert (loaded.image.min_pixels, loaded.image.max_pixels) == (3136, 12_845_056)
        assert loaded.video == MIMO_VL_VIDEO


def test_a_folder_without_picture_settings_gets_the_defaults():
    files = {name: data for name, data in PROCESSOR.files().items() if "preprocessor" not in name}
    assert Processor.from_files(files, PROCESSOR.config, where="here").image == ImageSettings()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"image_mean": [0.5, 0.5, 0.5]}, r"preprocessor_config.json: image_mean is \[0.5, 0.5, 0.5\]"),
        ({"min_pixels": "many"}, "preprocessor_config.json: min_pixels must be a whole number"),
        ({"size": 224}, "preprocessor_config.json: size must be a table, it is 224"),
    ],
)
def test_picture_settings_that_cannot_be_followed_are_refused(table, message):
    files = {**PROCESSOR.files(), "preprocessor_config.json": json.dumps(table).encode()}
    with pytest.raises(CheckpointError, match=message):
        Processor.from_files(files, PROCESSOR.config, where="here")


def test_a_tokenizer_of_another_checkpoint_is_refused_with_both_numbers():
    wrong = PROCESSOR.config.with_vocabulary(PROCESSOR.config.language.vocab_size, image_token_id=7)
    with pytest.raises(CheckpointError, match=r"<\|image_pad\|> is \d+ in the tokenizer, image_token_id is 7"):
        replace(PROCESSOR, config=wrong)
    with pytest.raises(CheckpointError, match=rf"the tokenizer has {len(WORDS)} tokens, the model 300"):
        replace(PROCESSOR, config=PROCESSOR.config.with_vocabulary(300))
    replace(PROCESSOR, config=PROCESSOR.config.with_vocabulary(len(WORDS) + 100))  # padded, as published models are


@pytest.mark.parametrize("side", ["start", "end"])
def test_picture_delimiters_of_another_checkpoint_are_refused_where_there_is_a_tower(side):
    name, own = f"vision_{side}_token_id", small.tokenizer().id(f"<|vision_{side}|>")
    wrong = PROCESSOR.config.with_vocabulary(PROCESSOR.config.language.vocab_size, **{name: 151652})
    with pytest.raises(CheckpointError, match=rf"<\|vision_{side}\|> is {own} in the tokenizer, {name} is 151652"):
        replace(PROCESSOR, config=wrong)
    replace(PROCESSOR, config=replace(wrong, vision=replace(wrong.vision, depth=0)))  # a language model alone


def test_it_can_be_handed_to_another_process():
    sample = small.conversation(small.picture(60, 90))
    again = pickle.loads(pickle.dumps(PROCESSOR)).encode(sample)
    assert torch.equal(again.tokens, PROCESSOR.encode(sample).tokens)
