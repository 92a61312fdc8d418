"""A template renders here as ``apply_chat_template`` renders it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data import ChatTemplate, chatml, think
from mimovl.types import Message, Part, Sample
from tests.data import small, templates

TEMPLATES = {
    "ours": chatml(),
    "ours with a system prompt": chatml('You are "MiMo"\\,\n你好 🙂 <b>&</b> {{ not jinja }}.'),
    "Qwen2.5-VL": templates.QWEN_VL,
    "with tools and generation tags": templates.HERMES_TOOLS,
    "special tokens and JSON": templates.TOKENS_AND_JSON,
}

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
texts = words.map(lambda text: Part("text", text=text))
media = st.sampled_from([Part("image", media="a"), Part("video", media="b")])
contents = st.one_of(
    texts.map(lambda part: (part,)), st.lists(st.one_of(texts, media), min_size=1, max_size=4).map(tuple)
)
answers = st.builds(think, words, words).map(lambda text: (Part("text", text=text),))
exchanges = st.tuples(contents.map(lambda c: Message("user", c)), answers.map(lambda c: Message("assistant", c)))
systems = st.lists(words.map(lambda text: Message("system", (Part("text", text=text),))), max_size=1)


@st.composite
def conversations(draw):
    turns = [turn for exchange in draw(st.lists(exchanges, min_size=1, max_size=3)) for turn in exchange]
    return draw(systems) + (turns[:-1] if draw(st.booleans()) else turns)


def plain(message):
    """OpenAI-style, a string where there is text only."""
    if all(part.type == "text" for part in message.content):
        return {"role": message.role, "content": message.text}
    parts = [
        {"type": part.type, part.type: part.text if part.type == "text" else part.media} for part in message.content
    ]
    return {"role": message.role, "content": parts}


@pytest.fixture(scope="module")
def words_there(tmp_path_factory, transformers):
    folder = tmp_path_factory.mktemp("tokenizer")
    for name, data in small.tokenizer().files.items():
        (folder / name).write_bytes(data)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=60)
@given(messages=conversations(), generate=st.booleans())
def test_rendering(words_there, name, messages, generate):
    files = {**small.tokenizer().files, "chat_template.jinja": TEMPLATES[name].encode()}
    config = json.loads(files["tokenizer_config.json"])
    files["tokenizer_config.json"] = json.dumps({**config, "bos_token": "<|endoftext|>"}).encode()
    words_there.bos_token = "<|endoftext|>"
    ours = ChatTemplate.from_files(files, where="here").render(messages, generate=generate)
    theirs = words_there.apply_chat_template(
        [plain(message) for message in messages],
        chat_template=TEMPLATES[name],
        add_generation_prompt=generate,
        tokenize=False,
    )
    assert ours == theirs


def test_parts_render_as_one_string_too(words_there):
    """A turn of text parts is handed over as one string; templates of this family do not tell the difference."""
    message = Message("user", (Part("text", text="How "), Part("text", text="many?")))
    parts = [{"type": "text", "text": part.text} for part in message.content]
    for name in ("ours", "Qwen2.5-VL", "with tools and generation tags"):
        theirs = words_there.apply_chat_template(
            [{"role": "user", "content": parts}], chat_template=TEMPLATES[name], tokenize=False
        )
        assert ChatTemplate(TEMPLATES[name]).render([message]) == theirs


def test_learned_tokens_are_those_between_generation_tags(words_there):
    """The loss mask of a conversation equals ``return_assistant_tokens_mask`` of a template with the tags."""
    messages = [
        small.user("How many?"),
        small.assistant(think("", "12")),
        small.user("Where? /no_think"),
        small.assistant("\n\n  There."),
        small.user("Why?"),
        small.assistant("Because."),
    ]
    theirs = words_there.apply_chat_template(
        [plain(message) for message in messages],
        chat_template=templates.HERMES_TOOLS,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    processor = replace(small.processor(), template=ChatTemplate(templates.HERMES_TOOLS))
    encoded = processor.encode(Sample("s", tuple(messages)))
    assert encoded.tokens.tolist() == theirs["input_ids"]
    assert (encoded.labels[:-1] >= 0).int().tolist() == theirs["assistant_masks"][1:]
