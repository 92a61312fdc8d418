import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.data import NO_THINK, ChatTemplate, answer_of, ask_without_thinking, chatml, think
from mimovl.errors import CheckpointError
from mimovl.types import Message, Part
from tests.data import templates
from tests.data.small import assistant, user

IMAGE = Part("image", media="a")
ALL = {
    "ours": chatml(),
    "Qwen2.5-VL": templates.QWEN_VL,
    "generation tags": templates.HERMES_TOOLS,
}


def test_a_conversation_is_chatml_with_pictures_in_their_places():
    messages = [Message("user", (IMAGE, Part("text", text="How many? /no_think"))), assistant(think("", "3"))]
    assert ChatTemplate(chatml()).render(messages) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How many? /no_think<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n3<|im_end|>\n"
    )


@pytest.mark.parametrize("name", ALL)
def test_a_prompt_is_a_prefix_of_the_conversation_it_begins(name):
    """So that a policy is trained on exactly what it was sampled from."""
    template = ChatTemplate(ALL[name])
    prompt = [Message("user", (IMAGE, Part("text", text="How many?")))]
    whole = template.render([*prompt, assistant(think("1, 2", "3"))])
    opened = template.render(prompt, generate=True)
    assert opened.endswith("<|im_start|>assistant\n")
    assert whole.startswith(opened)


@pytest.mark.parametrize("name", ALL)
def test_every_picture_and_clip_gets_one_place_in_order(name):
    parts = (IMAGE, Part("text", text="a"), Part("video", media="b"), Part("text", text="b"), IMAGE)
    text = ChatTemplate(ALL[name]).render([Message("user", parts)])
    places = [word for word in text.replace("|>", "|> ").split() if word.endswith("_pad|>")]
    assert [place.rpartition("<")[2] for place in places] == ["|image_pad|>", "|video_pad|>", "|image_pad|>"]


def test_a_default_system_prompt_is_put_first_unless_there_is_one():
    template = ChatTemplate(chatml('You are "MiMo"\\\n你好 {{ 1 }}'))
    own = Message("system", (Part("text", text="Own."),))
    assert template.render([user("Hi")]).startswith(
        '<|im_start|>system\nYou are "MiMo"\\\n你好 {{ 1 }}<|im_end|>\n<|im_start|>user\nHi'
    )
    assert template.render([own, user("Hi")]).startswith("<|im_start|>system\nOwn.<|im_end|>\n<|im_start|>user")
    assert "system" not in ChatTemplate(chatml()).render([user("Hi")])


@pytest.mark.parametrize("name", ALL)
def test_a_document_is_rendered_bare_whatever_the_template(name):
    document = Message("assistant", (Part("text", text="A page. "), IMAGE, Part("text", text=" The end.")))
    rendered = "A page. <|vision_start|><|image_pad|><|vision_end|> The end.<|endoftext|>"
    assert ChatTemplate(ALL[name]).render([document]) == rendered


def test_user_text_is_not_a_template():
    assert "{{ 7 * 7 }}{% raw %}" in ChatTemplate(chatml()).render([user("{{ 7 * 7 }}{% raw %}")])


# ---------------------------------------------------------------- thoughts


@given(thought=st.text(), answer=st.text())
def test_the_answer_follows_the_thought(thought, answer):
    if "</think>" not in answer:
        assert answer_of(think(thought, answer)) == answer.strip()


def test_an_answer_without_a_thought_is_the_whole_text():
    assert answer_of(" 3 ") == "3"


def test_no_think_is_the_very_last_of_the_user_turn():
    asked = ask_without_thinking([user("How many?")])
    assert asked[-1].text == "How many? /no_think"
    assert ask_without_thinking(asked) == asked
    picture_last = Message("user", (Part("text", text="How many? /no_think"), IMAGE))
    asked = ask_without_thinking([picture_last])
    assert asked[-1].content[-1] == Part("text", text=NO_THINK)
    for name in ALL:
        text = ChatTemplate(ALL[name]).render(asked, generate=True)
        assert text.endswith(" /no_think<|im_end|>\n<|im_start|>assistant\n")


def test_no_think_is_asked_of_the_user_who_speaks_last_only():
    messages = (user("How many?"), assistant("3"))
    assert ask_without_thinking(messages) == messages
    assert ask_without_thinking(()) == ()
    earlier = (*messages, user("Where?"))
    assert ask_without_thinking(earlier)[0].text == "How many?"


# ---------------------------------------------------------------- templates of checkpoints


def table(source):
    return json.dumps({"chat_template": source}).encode()


def test_the_newest_file_decides():
    files = {
        "chat_template.jinja": b"jinja",
        "chat_template.json": table("json"),
        "tokenizer_config.json": table("config"),
    }
    for expected in ("jinja", "json", "config"):
        assert ChatTemplate.from_files(files, where="here").render([user("x")]) == expected
        files.pop(next(iter(files)))
    with pytest.raises(CheckpointError, match="here: no chat template"):
        ChatTemplate.from_files(files, where="here")


def test_of_several_named_templates_the_default_is_taken():
    several = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    files = {"tokenizer_config.json": table(several)}
    assert ChatTemplate.from_files(files, where="here").render([user("x")]) == "plain"


def test_special_tokens_are_given_by_name():
    settings = {"eos_token": {"content": "<|im_end|>"}, "bos_token": None, "pad_token": "<|endoftext|>"}
    files = {
        "tokenizer_config.json": json.dumps(settings).encode(),
        "chat_template.jinja": b"{{ bos_token }}|{{ eos_token }}|{{ pad_token }}",
    }
    assert ChatTemplate.from_files(files, where="here").render([user("x")]) == "|<|im_end|>|<|endoftext|>"


def test_our_files_are_read_back():
    template = ChatTemplate(templates.QWEN_VL)
    files = template.files()
    assert ChatTemplate.from_files(files, where="here").source == template.source
    del files["chat_template.jinja"]
    assert ChatTemplate.from_files(files, where="here").source == template.source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for %}", "is not valid Jinja"),
        ("{{ raise_exception('roles must alternate') }}", "cannot render this conversation: roles must alternate"),
        ("{{ messages[0]['content'] + 1 }}", "cannot render this conversation: can only concatenate str"),
        ("{{ messages.append(1) }}", "cannot render this conversation"),
        ("{{ ''.__class__.__mro__ }}", "cannot render this conversation: .*unsafe"),
        ("{{ nothing.at.all }}", "cannot render this conversation: 'nothing' is undefined"),
    ],
)
def test_templates_that_fail_are_told_and_confined(source, message):
    with pytest.raises(CheckpointError, match=message):
        ChatTemplate(source).render([user("x")])


@pytest.mark.parametrize("name", ["chat_template.json", "tokenizer_config.json"])
@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff"])
def test_broken_files_are_named(name, data):
    with pytest.raises(CheckpointError, match=f"here: {name}"):
        ChatTemplate.from_files({name: data}, where="here")


def test_it_can_be_handed_to_another_process():
    """A compiled template cannot be pickled; its source can."""
    template = ChatTemplate("{{ eos_token }}", {"eos_token": "x"})
    assert pickle.loads(pickle.dumps(template)).render([user("y")]) == "x"
