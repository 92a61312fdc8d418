from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mimovl.data import Processor
from mimovl.errors import CheckpointError, DataError, UsageError
from mimovl.generate import read_messages, score_messages, token_logprobs
from mimovl.model import load_checkpoint
from mimovl.train import language_model_loss
from mimovl.types import IGNORE_INDEX, Part
from tests import tiny
from tests.data import small

PICTURE = small.picture(56, 84)
CLIP = small.clip(4, 2.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture and a clip beside the messages, and the picture again under an awkward name."""
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "p.png").write_bytes(PICTURE.data)
    (tmp_path / "media" / "c.png").write_bytes(CLIP.data)
    (tmp_path / "50% of a #1: picture?.png").write_bytes(PICTURE.data)
    return tmp_path


def written(folder: Path, data: object) -> Path:
    file = folder / "messages.json"
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    return file


def asking(*parts: object) -> list[dict]:
    return [{"role": "user", "content": list(parts)}]


# ---------------------------------------------------------------- reading


def test_a_conversation_of_every_kind_of_part(folder: Path) -> None:
    messages, media = read_messages(
        written(
            folder,
            [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": "media/p.png"},
                        {"type": "image_url", "image_url": {"url": "media/p.png"}},
                        {"type": "video", "video": "media/c.png"},
                        {"type": "video_url", "video_url": {"url": "media/c.png"}},
                        {"type": "text", "text": "What?"},
                    ],
                },
                {"role": "assistant", "content": "Noise."},
            ],
        )
    )
    assert [message.role for message in messages] == ["system", "user", "assistant"]
    assert messages[0].content == (Part("text", text="Be brief."),)
    assert messages[1].content == (
        *(Part("image", media=PICTURE.sha256),) * 2,
        *(Part("video", media=CLIP.sha256),) * 2,
        Part("text", text="What?"),
    )
    assert {key: (item.kind, item.data) for key, item in media.items()} == {
        PICTURE.sha256: ("image", PICTURE.data),
        CLIP.sha256: ("video", CLIP.data),
    }
    assert (media[PICTURE.sha256].width, media[PICTURE.sha256].height) == (56, 84)


def test_an_object_with_messages_is_read_too(folder: Path) -> None:
    plain = [{"role": "user", "content": "Hello"}]
    assert read_messages(written(folder, {"model": "x", "messages": plain})) == read_messages(written(folder, plain))


@pytest.mark.parametrize(
    "form",
    [
        "media/p.png",
        "media/../media/p.png",
        "{folder}/media/p.png",
        "file://{folder}/media/p.png",
        "file://localhost{folder}/media/p.png",
        "50% of a #1: picture?.png",
        "file://{folder}/50%25%20of%20a%20%231%3A%20picture%3F.png",
    ],
)
def test_paths_are_relative_to_the_messages_absolute_or_file_urls(folder: Path, form: str, monkeypatch) -> None:
    monkeypatch.chdir("/")
    url = form.replace("{folder}", str(folder))
    _, media = read_messages(written(folder, asking({"type": "image_url", "image_url": {"url": url}})))
    assert [item.data for item in media.values()] == [PICTURE.data]


@pytest.mark.parametrize("url", ["http://a.org/p.png", "https://a.org/p.png", "s3://b/p.png", "data:;base64,AA"])
def test_addresses_are_refused_with_the_cure(folder: Path, url: str) -> None:
    file = written(folder, asking({"type": "image_url", "image_url": {"url": url}}))
    scheme = url.partition(":")[0]
    with pytest.raises(DataError, match=f"message 0, part 0: {scheme}: addresses are not fetched; save the file"):
        read_messages(file)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [("none.png", "none.png cannot be read .No such file"), ("media", "media cannot be read"), ("a\0b", "null")],
)
def test_a_file_that_cannot_be_read_is_named(folder: Path, url: str, complaint: str) -> None:
    file = written(folder, asking({"type": "text", "text": "What?"}, {"type": "image", "image": url}))
    with pytest.raises(DataError, match=f"messages.json: message 0, part 1: .*{complaint}"):
        read_messages(file)


def test_a_file_that_is_no_picture_is_named(folder: Path) -> None:
    (folder / "media" / "bad.png").write_text("words")
    with pytest.raises(DataError, match=r"bad\.png: not a picture"):
        read_messages(written(folder, asking({"type": "image", "image": "media/bad.png"})))


@pytest.mark.parametrize("text", ["", "{", "[1,", "\x00", '{"a": }'])
def test_what_is_not_json_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(UsageError, match="messages.json: not valid JSON"):
        read_messages(written(folder, text))


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    (folder / "messages.json").write_bytes(b"\xff\xfe[")
    with pytest.raises(UsageError, match="messages.json: not valid JSON"):
        read_messages(folder / "messages.json")


def test_a_missing_messages_file_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.json: cannot be read .No such file"):
        read_messages(folder / "absent.json")


@pytest.mark.parametrize("data", [[], {}, {"messages": []}, {"messages": "Hi"}, 3, "words", None])
def test_something_other_than_messages_is_refused(folder: Path, data: object) -> None:
    with pytest.raises(DataError, match="expected a non-empty list of messages"):
        read_messages(written(folder, json.dumps(data)))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("Hello", "needs a role of system, user or assistant"),
        ({"content": "Hello"}, "needs a role"),
        ({"role": "tool", "content": "Hello"}, "needs a role"),
        ({"role": "user"}, "content must be a string or a list of parts"),
        ({"role": "user", "content": {"type": "text"}}, "content must be a string or a list"),
        ({"role": "user", "content": ["Hello"]}, "part 0: unknown part None"),
        ({"role": "user", "content": [{"type": "text"}]}, "part 0: unknown part 'text'"),
        ({"role": "user", "content": [{"type": "audio", "audio": "a.wav"}]}, "unknown part 'audio'; use text, image"),
        ({"role": "user", "content": [{"type": "image"}]}, "part 0: image needs a path"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "image_url needs a path"),
        ({"role": "user", "content": [{"type": "video", "video": 3}]}, "video needs a path"),
    ],
)
def test_a_message_that_cannot_be_used_is_named_by_its_place(folder: Path, message: object, complaint: str) -> None:
    file = written(folder, [{"role": "user", "content": "Hello"}, message])
    with pytest.raises(DataError, match=f"messages.json: message 1.*{complaint}"):
        read_messages(file)


# ---------------------------------------------------------------- scoring


CONVERSATION = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": "media/p.png"},
            {"type": "video", "video": "media/c.png"},
            {"type": "text", "text": "How many circles?"},
        ],
    },
    {"role": "assistant", "content": "<think>\n\n</think>\n\n3"},
]


def test_the_sum_over_the_answer_is_the_models_own_loss(folder: Path) -> None:
    model, processor = tiny.model(sharp=8), tiny.processor()
    messages, media = read_messages(written(folder, CONVERSATION))
    tokens, logprobs = token_logprobs(model, processor, messages, media)
    assert len(logprobs) == len(tokens) - 1
    encoded = processor.encode(small.Sample("s", tuple(messages), media))
    assert encoded.tokens.tolist() == tokens
    learned = [n for n, label in enumerate(encoded.labels.tolist()) if label != IGNORE_INDEX]
    loss = language_model_loss(model, tiny.batch([encoded])).total.item()
    assert -sum(logprobs[n] for n in learned) == pytest.approx(loss, rel=1e-6)


def test_every_token_is_scored_against_the_whole_vocabulary(folder: Path) -> None:
    """Placeholders too: none is made impossible, and all chances add up to one."""
    model, processor = tiny.model(sharp=8), tiny.processor()
    messages, media = read_messages(written(folder, CONVERSATION))
    tokens, logprobs = token_logprobs(model, processor, messages, media)
    encoded = processor.encode_prompt(messages, media, generate=False)
    with torch.no_grad():
        whole = model.logits(model(tiny.batch([encoded]))).double().log_softmax(-1)
    expected = [whole[n, token].item() for n, token in enumerate(tokens[1:])]
    assert logprobs == pytest.approx(expected, abs=1e-5)
    assert any(token == model.config.image_token_id for token in tokens)


def test_a_conversation_that_ends_with_the_user_is_scored_up_to_the_opening_of_an_answer(folder: Path) -> None:
    messages, media = read_messages(written(folder, CONVERSATION[:1]))
    tokens, _ = token_logprobs(tiny.model(), tiny.processor(), messages, media)
    assert tiny.tokenizer().decode(tokens, keep_special=True).endswith("<|im_start|>assistant\n")


def test_the_file_holds_tokens_texts_and_logprobs(folder: Path, tiny_start: Path) -> None:
    out = folder / "new" / "scored.json"
    result = score_messages(tiny_start, written(folder, CONVERSATION), out)
    assert json.loads(out.read_text()) == result
    assert set(result) == {"tokens", "texts", "logprobs"}
    assert len(result["tokens"]) == len(result["texts"]) == len(result["logprobs"])
    assert result["logprobs"][0] is None and all(value <= 0 for value in result["logprobs"][1:])
    assert "".join(result["texts"]) == tiny.tokenizer().decode(result["tokens"], keep_special=True)
    messages, media = read_messages(folder / "messages.json")
    again = token_logprobs(load_checkpoint(tiny_start), Processor.load(tiny_start), messages, media)
    assert again == (result["tokens"], result["logprobs"][1:])


def test_nothing_is_written_when_something_is_wrong(folder: Path, tiny_start: Path) -> None:
    out = folder / "scored.json"
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        score_messages(folder / "none", written(folder, CONVERSATION), out)
    with pytest.raises(DataError, match="only the chat template may write"):
        score_messages(tiny_start, written(folder, [{"role": "user", "content": "<|image_pad|>"}]), out)
    assert not out.exists()


def test_messages_longer_than_the_context_are_refused_with_both_numbers(folder: Path, monkeypatch) -> None:
    model, processor = tiny.model(), tiny.processor()
    room = processor.config.language.max_position
    messages, media = read_messages(written(folder, asking({"type": "text", "text": "seven " * room})))
    with pytest.raises(DataError, match=rf"the messages have \d+ tokens, the model's context has {room}; shorten"):
        token_logprobs(model, processor, messages, media)


def test_the_messages_are_not_written_over_and_nested_ones_are_no_crash(folder: Path, tiny_start: Path) -> None:
    file = written(folder, CONVERSATION)
    before = file.read_bytes()
    with pytest.raises(UsageError, match="--out is the file of the messages, which would be lost"):
        score_messages(tiny_start, file, folder / "media" / ".." / file.name)
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match="not valid JSON"):
        read_messages(written(folder, "[" * 100_000))


def test_logits_of_a_few_rows_at_a_time_give_the_same(folder: Path, monkeypatch) -> None:
    messages, media = read_messages(written(folder, CONVERSATION))
    whole = token_logprobs(tiny.model(sharp=8), tiny.processor(), messages, media)
    monkeypatch.setattr("mimovl.generate.logprobs.ROWS", 7)
    tokens, logprobs = token_logprobs(tiny.model(sharp=8), tiny.processor(), messages, media)
    assert tokens == whole[0] and logprobs == pytest.approx(whole[1], abs=1e-6)


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left_there(folder: Path, tiny_start: Path) -> None:
    file = written(folder, CONVERSATION)
    with pytest.raises(UsageError, match="--out is a folder; name a file"):
        score_messages(tiny_start, file, folder / "media")
    with pytest.raises(UsageError, match=r"scored\.json: cannot be written"):
        score_messages(tiny_start, file, file / "scored.json")
    link = folder / "link.json"
    link.hardlink_to(file)
    with pytest.raises(UsageError, match="--out is the file of the messages"):
        score_messages(tiny_start, file, link)
    link.unlink()
    score_messages(tiny_start, file, folder / "scored.json")
    assert sorted(path.name for path in folder.glob("*.json*")) == ["messages.json", "scored.json"]
    assert not list(folder.glob(".*"))
