"""The engine says what a plain loop of full forward passes says, whatever runs beside it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mimovl.data import Processor
from mimovl.errors import CheckpointError, DataError, UsageError
from mimovl.generate import Engine, UnansweredError
from mimovl.generate.sequence import Group, RequestError, Running, ending
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.types import Completion, Message, Part, Request, Sample, SamplingParams
from tests import tiny
from tests.data import small
from tests.generate import plain, rows


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    """Far from even in its choices, and one that ends some of its answers."""
    built = tiny.model(sharp=8)
    with torch.no_grad():
        built.language.lm_head.weight[tiny.tokenizer().im_end] *= 3
    return built


def album() -> Sample:
    """A question about two pictures and a clip."""
    media = [small.picture(56, 84, 1), small.clip(6, 2.0), small.picture(84, 28, 2)]
    return Sample("album", (small.user("Which one?", *media),), {item.sha256: item for item in media})


def prompts() -> list[Sample]:
    """Pictures, clips, text, several of each together, several turns."""
    turns = (small.user("How many?"), small.assistant("3"), small.user("Which colour?"))
    world = [q for source in ("world/counting", "world/clip", "world/arithmetic") for q in tiny.questions(source, 6)]
    return [*world, album(), Sample("turns", turns)]


def requests(**sampling: float) -> list[Request]:
    """One for every prompt, with different lengths and modes."""
    modes = (None, True, False)
    return [
        Request(sample, SamplingParams(max_tokens=1 + (5 * n) % 13, seed=n, **sampling), 1, modes[n % 3])
        for n, sample in enumerate(prompts())
    ]


def engine(model: VisionLanguageModel, slots: int = 4, prefill_tokens: int = 200) -> Engine:
    """Few slots and small prefills, so that slots are refilled and moved all the time."""
    return Engine(model, tiny.processor(), slots=slots, prefill_tokens=prefill_tokens)


def sampled(count: int = 3, max_tokens: int = 12) -> list[Request]:
    """Groups of samples at temperature 1."""
    return [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=max_tokens + n % 4, seed=7 * n), count)
        for n, sample in enumerate(prompts())
    ]


# ---------------------------------------------------------------- greedy


@pytest.mark.parametrize(("slots", "prefill_tokens"), [(3, 100), (64, 4096)], ids=["crowded", "roomy"])
def test_greedy_tokens_equal_those_of_full_forward_passes(model, slots, prefill_tokens) -> None:
    asked = requests()
    answers = engine(model, slots, prefill_tokens).generate(asked)
    finished = set()
    for request, (completion,) in zip(asked, answers, strict=True):
        tokens, reason = plain.greedy(model, request)
        assert (list(completion.tokens), completion.finish_reason) == (tokens, reason), request.sample.id
        assert completion.text == tiny.tokenizer().decode(tokens)
        finished.add(reason)
    assert finished == {"stop", "length"}


def test_greedy_samples_of_a_group_are_equal(model) -> None:
    (group,) = engine(model).generate([Request(prompts()[0], SamplingParams(max_tokens=6), 3)])
    assert len(group) == 3 and len({completion.tokens for completion in group}) == 1


def test_one_token_is_enough(model) -> None:
    asked = [Request(sample, SamplingParams(max_tokens=1)) for sample in prompts()]
    for request, (completion,) in zip(asked, engine(model, slots=2).generate(asked), strict=True):
        assert list(completion.tokens) == plain.greedy(model, request)[0]
        assert len(completion.logprobs) == 1


def test_no_request_no_answer(model) -> None:
    assert engine(model).generate([]) == []


# ---------------------------------------------------------------- sampling


def test_samples_depend_on_their_own_seed_and_on_nothing_around_them(model) -> None:
    asked = sampled()
    expected = engine(model, slots=100, prefill_tokens=9999).generate(asked)
    order = list(range(len(asked)))
    random.Random(0).shuffle(order)
    crowded = engine(model, slots=5).generate([asked[place] for place in order])
    for place, group in zip(order, crowded, strict=True):
        assert [c.tokens for c in group] == [c.tokens for c in expected[place]]
    for place in (0, 9, 18):
        (alone,) = engine(model, slots=3).generate([asked[place]])
        assert [c.tokens for c in alone] == [c.tokens for c in expected[place]]


def test_a_completion_is_the_same_to_the_bit_in_any_company(model) -> None:
    """Log-probabilities too: other slots, prefills and pages around it, few or many beside it."""
    rows.needed()
    asked = sampled(max_tokens=40)
    expected = engine(model, slots=100, prefill_tokens=9999).generate(asked)
    for slots, prefill_tokens in ((3, 1), (7, 300), (33, 100)):
        running = engine(model, slots, prefill_tokens)
        assert running.generate(asked) == expected
    for place in range(0, len(asked), 3):
        assert engine(model, slots=3).generate([asked[place]]) == [expected[place]]


def test_samples_of_a_group_differ_and_so_do_seeds(model) -> None:
    sample = prompts()[0]
    asked = [Request(sample, SamplingParams(temperature=1.0, max_tokens=8, seed=seed), 4) for seed in (0, 1, -1)]
    groups = engine(model).generate(asked)
    assert len({completion.tokens for group in groups for completion in group}) == 12


def test_a_larger_group_begins_with_the_smaller_one(model) -> None:
    sample, sampling = prompts()[0], SamplingParams(temperature=1.0, max_tokens=6, seed=3)
    two, four = engine(model).generate([Request(sample, sampling, 2), Request(sample, sampling, 4)])
    assert [c.tokens for c in two] == [c.tokens for c in four[:2]]


def test_recorded_logprobs_equal_those_of_the_training_forward(model) -> None:
    """With slots moved and refilled; worst measured: mean 5e-7, single 3e-6 of log-probabilities down to −9."""
    asked = sampled()
    differences = []
    for request, group in zip(asked, engine(model, slots=5).generate(asked), strict=True):
        for completion in group:
            assert len(completion.logprobs) == len(completion.tokens)
            expected = plain.logprobs(model, request, completion.tokens)
            differences.append((expected - torch.tensor(completion.logprobs)).abs())
    everything = torch.cat(differences)
    assert len(everything) > 500
    assert everything.mean() < 1e-5
    assert everything.max() < 1e-4


def test_recorded_logprobs_are_the_policys_own_whatever_the_temperature(model) -> None:
    for sampling in (SamplingParams(max_tokens=5), SamplingParams(temperature=0.5, top_p=0.8, max_tokens=5, seed=1)):
        request = Request(prompts()[0], sampling)
        ((completion,),) = engine(model).generate([request])
        expected = plain.logprobs(model, request, completion.tokens)
        assert torch.allclose(expected, torch.tensor(completion.logprobs), atol=1e-4)


# ---------------------------------------------------------------- placeholders


@pytest.mark.parametrize("temperature", [0.0, 1.0, 5.0])
def test_placeholders_cannot_be_written_even_by_a_model_that_wants_nothing_else(temperature) -> None:
    rigged = tiny.model(sharp=8)
    visual = list(rigged.config.visual_token_ids)
    with torch.no_grad():
        # Opposite rows: whatever the hidden state, one placeholder of each pair is preferred to every other token.
        rigged.language.lm_head.weight[visual[0]] *= 1000
        for token, sign in zip(visual[1:], (-1, 1, -1), strict=True):
            rigged.language.lm_head.weight[token] = sign * rigged.language.lm_head.weight[visual[0]]
    asked = [
        Request(sample, SamplingParams(temperature=temperature, max_tokens=10, seed=n), 2)
        for n, sample in enumerate(prompts()[::3])
    ]
    batch = tiny.batch([plain.encoded(asked[0])])
    assert int(rigged.logits(rigged(batch)[-1]).argmax()) in visual
    for group in engine(rigged).generate(asked):
        for completion in group:
            assert not set(completion.tokens) & set(visual)
            assert all(value > -1e4 for value in completion.logprobs)


# ---------------------------------------------------------------- pictures once


def test_a_picture_is_encoded_once_a_call_however_many_prompts_ask_about_it(model, monkeypatch) -> None:
    one, other = small.picture(56, 56, 1), small.picture(84, 56, 2)

    def ask(number: int, *media):
        sample = Sample(f"q{number}", (small.user(f"How many {number}?", *media),), {m.sha256: m for m in media})
        return Request(sample, SamplingParams(temperature=1.0, max_tokens=4, seed=number), 3)

    asked = [ask(n, *media) for n, media in enumerate([(one,), (one, other), (other,), (one, one), (), (other, one)])]
    encoded: list[int] = []
    encode = VisionLanguageModel.encode

    def spy(self, patches, grid_thw):
        encoded.extend(map(int, grid_thw.prod(-1)))
        return encode(self, patches, grid_thw)

    monkeypatch.setattr(VisionLanguageModel, "encode", spy)
    running = engine(model, slots=3, prefill_tokens=1)  # every prompt in a prefill of its own
    answers = running.generate(asked)
    assert sorted(encoded) == [16, 24]
    monkeypatch.undo()
    for request, group in zip(asked, answers, strict=True):
        expected = plain.logprobs(model, request, group[0].tokens)
        assert torch.allclose(expected, torch.tensor(group[0].logprobs), atol=1e-4), request.sample.id


def test_between_calls_nothing_is_kept_of_a_picture(model) -> None:
    """The parameters may have changed: in reinforcement learning they have."""
    request = Request(prompts()[0], SamplingParams(max_tokens=3))
    running = engine(model)
    ((before,),) = running.generate([request])
    weight = model.projector.down.weight
    original = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(-3)
        ((after,),) = running.generate([request])
        assert after.logprobs != before.logprobs
        expected = plain.logprobs(model, request, after.tokens)
        assert torch.allclose(expected, torch.tensor(after.logprobs), atol=1e-4)
    finally:
        with torch.no_grad():
            weight.copy_(original)


def test_the_same_bytes_as_picture_and_as_clip_are_two_things(model) -> None:
    """An animated file may be shown as its first frame or as a clip."""
    clip = small.clip(4, 2.0)
    still = small.Media(clip.sha256, "image", clip.data, clip.width, clip.height)
    asked = [
        Request(Sample(kind, (small.user("What?", item),), {item.sha256: item}), SamplingParams(max_tokens=4))
        for kind, item in (("clip", clip), ("still", still))
    ]
    for request, (completion,) in zip(asked, engine(model).generate(asked), strict=True):
        assert list(completion.tokens) == plain.greedy(model, request)[0]


# ---------------------------------------------------------------- what is refused, what is told


def test_a_prompt_beyond_the_context_is_named_with_its_numbers(model) -> None:
    sample = Sample("long", (small.user("circle " * 2100),))
    size = plain.encoded(Request(sample)).num_tokens
    with pytest.raises(DataError, match=rf"sample long: {size} prompt tokens and 16 new ones exceed .* 2048 positions"):
        engine(model).generate([Request(sample, SamplingParams(max_tokens=16))])


def test_a_prompt_that_fills_the_context_to_the_last_place_runs(model) -> None:
    sample = Sample("full", (small.user("circle"),))
    room = model.config.language.max_position - plain.encoded(Request(sample)).num_tokens
    with pytest.raises(DataError, match="exceed the model's 2048 positions"):
        engine(model).generate([Request(sample, SamplingParams(max_tokens=room + 1))])
    fitting = Sample("full", (small.user("circle" + " circle" * (room - 5)),))
    size = plain.encoded(Request(fitting)).num_tokens
    ((completion,),) = engine(model).generate([Request(fitting, SamplingParams(max_tokens=2048 - size))])
    assert completion.tokens


@pytest.mark.parametrize("count", [0, 5])
def test_more_samples_than_slots_or_none_are_refused_before_anything_runs(model, count) -> None:
    running = engine(model, slots=4)
    good = Request(prompts()[0], SamplingParams(max_tokens=2))
    with pytest.raises(DataError, match=f"{count} samples are asked for, the engine has 4 slots"):
        running.generate([good, Request(prompts()[1], SamplingParams(max_tokens=2), count)])
    assert running.tokens_generated == 0


def test_no_room_for_a_single_token_is_refused(model) -> None:
    with pytest.raises(DataError, match="max_tokens is 0"):
        engine(model).generate([Request(prompts()[0], SamplingParams(max_tokens=0))])


def test_an_unreadable_picture_names_the_sample(model) -> None:
    broken = small.Media("0" * 64, "image", b"", 28, 28)
    sample = Sample("broken", (small.user("What?", broken),), {broken.sha256: broken})
    with pytest.raises(DataError, match="sample broken, image 0000.*empty"):
        engine(model).generate([Request(sample)])


def test_finished_samples_and_tokens_are_counted(model) -> None:
    told: list[tuple[int, int]] = []
    running = engine(model)
    answers = running.generate(sampled(2, 4), on_finish=lambda done, total: told.append((done, total)))
    completions: list[Completion] = [completion for group in answers for completion in group]
    assert told[-1] == (40, 40) and [done for done, _ in told] == sorted(done for done, _ in told)
    assert running.tokens_generated == sum(len(completion.tokens) for completion in completions)


def test_the_model_is_left_as_it_was(model) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for training in (True, False):
        model.train(training)
        engine(model).generate(requests()[:2])
        assert model.training is training
        with pytest.raises(DataError):
            engine(model).generate([Request(prompts()[0], num_samples=99)])
        assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_engine_is_used_again_with_longer_and_shorter_requests(model) -> None:
    running = engine(model, slots=3)
    for length in (4, 90, 8):
        request = Request(prompts()[0], SamplingParams(max_tokens=length))
        ((completion,),) = running.generate([request])
        assert list(completion.tokens) == plain.greedy(model, request)[0]


def test_a_cache_that_grows_keeps_those_that_run(model) -> None:
    """A long prompt is admitted while short ones are being answered."""
    short = [Request(sample, SamplingParams(max_tokens=20 + n)) for n, sample in enumerate(prompts()[12:15])]
    long = Request(Sample("long", (small.user("red circle " * 60),)), SamplingParams(max_tokens=8))
    asked = [*short[:2], Request(short[2].sample, SamplingParams(max_tokens=3)), long]
    for request, (completion,) in zip(asked, engine(model, slots=3).generate(asked), strict=True):
        assert list(completion.tokens) == plain.greedy(model, request)[0], request.sample.id


def test_parts_without_text_and_the_no_think_switch_reach_the_prompt(model) -> None:
    sample = prompts()[0]
    seen = []

    class Spy(Processor):
        def encode_prompt(self, messages, media, **options):
            result = super().encode_prompt(messages, media, **options)
            seen.append(self.tokenizer.decode(result.tokens.tolist(), keep_special=True))
            return result

    words = tiny.processor()
    running = Engine(model, Spy(words.tokenizer, words.template, words.config), slots=4)
    running.generate([Request(sample, SamplingParams(max_tokens=1), 1, thinking) for thinking in (None, True, False)])
    assert seen[0] == seen[1] and " /no_think<|im_end|>" in seen[2] and "/no_think" not in seen[0]
    assert all(text.endswith("<|im_start|>assistant\n") for text in seen)
    only = Message("user", (Part("image", media=next(iter(sample.media))),))
    running.generate([Request(Sample("bare", (only,), sample.media), SamplingParams(max_tokens=1))])


# ---------------------------------------------------------------- ends


def test_a_stop_text_ends_a_completion_and_is_cut_off(model) -> None:
    free = [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=30, seed=n)) for n, sample in enumerate(prompts())
    ]
    stopped = 0
    for request, (whole,) in zip(free, engine(model, slots=32).generate(free), strict=True):
        if len(whole.text) < 12:
            continue
        stops = (whole.text[6:9], whole.text[3:5], "never written")
        cut = min(whole.text.find(stop) for stop in stops[:2])
        sampling = SamplingParams(temperature=1.0, max_tokens=30, seed=request.sampling.seed, stop=stops)
        ((completion,),) = engine(model).generate([Request(request.sample, sampling)])
        assert completion.text == whole.text[:cut] and completion.finish_reason == "stop"
        assert completion.tokens == whole.tokens[: len(completion.tokens)]
        # No token too many: without the last one none of them had been written.
        before = tiny.tokenizer().decode(list(completion.tokens[:-1]))
        assert not any(stop in before for stop in stops)
        stopped += 1
    assert stopped >= 8


def test_top_k_one_is_greedy_whatever_the_draw(model) -> None:
    asked = [Request(s, SamplingParams(temperature=1.0, top_k=1, max_tokens=8, seed=3)) for s in prompts()[:6]]
    for request, (completion,) in zip(asked, engine(model).generate(asked), strict=True):
        assert list(completion.tokens) == plain.greedy(model, Request(request.sample, SamplingParams(max_tokens=8)))[0]


# ---------------------------------------------------------------- as they come


def said(groups: list[list[Completion]]) -> list[list[tuple]]:
    """All but the roundings."""
    return [[(c.text, c.finish_reason, c.tokens) for c in group] for group in groups]


def drain(running: Engine) -> dict[tuple[int, int], Completion]:
    """Every sample, once."""
    found: dict[tuple[int, int], Completion] = {}
    while not running.idle:
        for done in running.step():
            assert (done.ticket, done.sample) not in found
            found[done.ticket, done.sample] = done.completion
    return found


def test_requests_that_come_while_others_run_are_answered_the_same(model) -> None:
    asked = sampled()
    expected = engine(model, slots=100).generate(asked)
    running = engine(model, slots=7)
    tickets, found = [], {}
    for request in asked:
        tickets.append(running.submit(request))
        for _ in range(2):
            found.update({(done.ticket, done.sample): done.completion for done in running.step()})
    found.update(drain(running))
    assert said([[found[ticket, sample] for sample in range(3)] for ticket in tickets]) == said(expected)


def test_a_cancelled_request_is_reported_once_with_what_it_had_written(model) -> None:
    asked = [Request(s, SamplingParams(temperature=1.0, max_tokens=20, seed=n), 2) for n, s in enumerate(prompts()[:4])]
    roomy, running = engine(model, slots=100), engine(model, slots=6)
    roomy.stop_ids = running.stop_ids = set()
    whole = roomy.generate(asked)
    tickets = [running.submit(request) for request in asked]
    found = {}
    for _ in range(4):
        found.update({(done.ticket, done.sample): done.completion for done in running.step()})
    assert not found
    running.cancel(tickets[1])  # runs
    running.cancel(tickets[3])  # waits
    running.cancel(999)  # is nothing
    found = drain(running)
    assert len(found) == 8
    for place in (0, 2):
        assert said([[found[tickets[place], sample] for sample in range(2)]]) == said([whole[place]])
    for sample in range(2):
        begun, unborn = found[tickets[1], sample], found[tickets[3], sample]
        assert begun.finish_reason == unborn.finish_reason == "cancelled"
        assert 1 < len(begun.tokens) < 20 and begun.tokens == whole[1][sample].tokens[: len(begun.tokens)]
        assert (unborn.text, unborn.tokens) == ("", ())


def test_pages_and_pictures_are_all_given_back(model) -> None:
    running = engine(model, slots=7)
    running.generate(sampled())
    tickets = [running.submit(request) for request in sampled()]
    for _ in range(5):
        running.step()
    for ticket in tickets:
        running.cancel(ticket)
    drain(running)
    assert running._own.used == running._shared.used == running._reserved == 0
    assert not running._prefill._visual and not running._prefill._wanted


def test_a_call_within_others_work_leaves_that_for_its_owner(model) -> None:
    running = engine(model, slots=7)
    (ahead,) = [running.submit(request) for request in sampled()[:1]]
    inside = running.generate(sampled()[1:3])
    found = drain(running)
    first = [found[ahead, sample] for sample in range(3)]
    assert said([first, *inside]) == said(engine(model).generate(sampled()[:3]))


def test_a_prompt_that_cannot_be_run_takes_no_other_with_it(model) -> None:
    broken = small.Media("0" * 64, "image", b"", 28, 28)
    running = engine(model, slots=100)
    good = sampled()[:2]
    tickets = [running.submit(good[0])]
    running.submit(Request(Sample("broken", (small.user("What?", broken),), {broken.sha256: broken})))
    tickets.append(running.submit(good[1]))
    with pytest.raises(DataError, match="sample broken"):
        running.step()
    found = drain(running)
    expected = engine(model).generate(good)
    assert said([[found[ticket, sample] for sample in range(3)] for ticket in tickets]) == said(expected)


# ---------------------------------------------------------------- room


def test_a_small_cache_makes_requests_wait_and_changes_nothing(model) -> None:
    asked = sampled()
    expected = engine(model, slots=100).generate(asked)
    running = Engine(model, tiny.processor(), slots=100, page_tokens=8, cache_tokens=1024)
    most = 0

    def watch(done: int, total: int) -> None:
        nonlocal most
        most = max(most, 8 * (running._own.used + running._shared.used))

    answers = running.generate(asked, on_finish=watch)
    assert 512 < most <= 1024
    assert said(answers) == said(expected)


def test_a_request_that_can_never_fit_is_named_with_both_numbers(model) -> None:
    running = Engine(model, tiny.processor(), slots=8, cache_tokens=128)
    with pytest.raises(DataError, match=r"with 4 answers of 40 takes up to \d+ tokens of the cache, which has 128"):
        running.generate([Request(prompts()[0], SamplingParams(max_tokens=40), 4)])
    assert running.idle and running._reserved == 0


def test_long_sequences_among_short_ones_leave_no_holes_to_read(model) -> None:
    """The pool is read to its last page in use, so pages of the survivors move to the front."""
    lengths = [100 if n % 8 == 7 else 2 for n in range(64)]
    asked = [
        Request(prompts()[n % 20], SamplingParams(temperature=1.0, max_tokens=length, seed=n))
        for n, length in enumerate(lengths)
    ]
    running = Engine(model, tiny.processor(), slots=64, page_tokens=4)
    running.stop_ids = set()
    highest: list[float] = []

    def watch(done: int, total: int) -> None:
        if running._running and running._own.high >= 16:
            highest.append(running._own.high / running._own.used)

    answers = running.generate(asked, on_finish=watch)
    assert highest and sum(ratio > 1.25 for ratio in highest) <= 1  # the step in which they ended
    for request, (completion,) in list(zip(asked, answers, strict=True))[7::8]:
        expected = plain.logprobs(model, request, completion.tokens)
        assert torch.allclose(expected, torch.tensor(completion.logprobs), atol=1e-4)


# ---------------------------------------------------------------- the model alone


def test_a_loaded_model_and_texts_are_enough(tiny_start) -> None:
    loaded = load_checkpoint(tiny_start)
    texts = ["How many circles?", "What is 3 + 4?"]
    sampling = SamplingParams(temperature=1.0, max_tokens=5, seed=2)
    answers = Engine(loaded).generate(texts, sampling, 2)
    asked = [Request(Sample(text, (small.user(text),)), sampling, 2) for text in texts]
    assert said(answers) == said(Engine(loaded, tiny.processor()).generate(asked))


def test_a_model_without_a_tokenizer_says_so(model) -> None:
    with pytest.raises(CheckpointError, match="the model's own files"):
        Engine(model)


def test_a_long_prompt_beside_short_ones_changes_no_bit_of_theirs(model) -> None:
    """Short sequences are put together apart from a long one, which would have them all padded to its length."""
    rows.needed()
    short = [text(f"How many {n}?", 2, temperature=1.0, seed=n) for n in range(6)]
    long = text("seven red ones and " * 60, 2, temperature=1.0, seed=9)
    alone = [engine(model).generate([one])[0] for one in (*short, long)]
    assert engine(model, slots=16).generate([*short, long]) == alone


def test_a_large_group_beside_single_samples_changes_no_bit_of_theirs(model) -> None:
    """Pages that many samples read are computed apart from those of one."""
    rows.needed()
    singles = [text("seven red ones and " * 40 + str(n), 1, temperature=1.0, seed=n) for n in range(4)]
    large = text("seven red ones and " * 12, 32, temperature=1.0, seed=9)
    alone = [Engine(model, tiny.processor(), slots=64).generate([one])[0] for one in (*singles, large)]
    assert Engine(model, tiny.processor(), slots=64).generate([*singles, large]) == alone


# ---------------------------------------------------------------- what goes wrong


def text(words: str, count: int = 1, **sampling: object) -> Request:
    return Request(Sample(words, (small.user(words),)), SamplingParams(max_tokens=6, **sampling), count)


def kept(running: Engine) -> tuple[int, ...]:
    """All that an engine at rest must have given back."""
    pools, prefill = (running._own, running._shared), running._prefill
    return (running._reserved, *(pool.used for pool in pools), len(prefill._wanted), len(prefill._visual))


def poisoned() -> tuple[VisionLanguageModel, str]:
    """A model that cannot read one word: its embedding is no number."""
    sick, word = tiny.model(sharp=8), "seven"
    with torch.no_grad():
        for token in set(tiny.tokenizer().encode(word)) - set(tiny.tokenizer().encode("How many red ones?")):
            sick.language.embed_tokens.weight[token] = float("nan")
    return sick, word


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_request_whose_logits_are_no_numbers_is_named_and_spoils_no_other(temperature: float) -> None:
    sick, word = poisoned()
    good = text("How many red ones?", 2, temperature=temperature)
    [expected] = engine(sick).generate([good])
    running = engine(sick, slots=8)
    bad, ticket = running.submit(text(word, 2, temperature=temperature)), running.submit(good)
    with pytest.raises(RequestError, match="sample seven: the model's logits are no numbers") as caught:
        while not running.idle:
            running.step()
    assert (caught.value.ticket, caught.value.reason) == (bad, "not-a-number")
    answers = drain(running)
    assert [answers[ticket, sample] for sample in range(2)] == expected and kept(running) == (0,) * 5


def test_parameters_that_were_no_numbers_leave_nothing_behind(model) -> None:
    asked = sampled(2)
    expected = said(engine(model).generate(asked))
    healed = tiny.model(sharp=8)
    healed.load_state_dict(model.state_dict())
    running = engine(healed)
    with torch.no_grad():
        for parameter in healed.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(RequestError, match="no numbers"):
        running.generate(asked)
    drain(running)
    healed.load_state_dict(model.state_dict())
    assert said(running.generate(asked)) == expected


def test_an_interrupt_in_a_prefill_is_as_if_it_had_not_been_tried(model, monkeypatch) -> None:
    running = Engine(model, tiny.processor(), slots=4, cache_tokens=4096)
    asked = sampled(2)[:5]
    expected = said(running.generate(asked))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("_compute", "_draw"):
        with monkeypatch.context() as patch:
            patch.setattr(running, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                running.generate(asked)
        assert kept(running) == (0,) * 5 and running.idle
    assert said(running.generate(asked)) == expected


def test_what_cannot_even_be_asked_leaves_nothing_behind(model) -> None:
    running, good = engine(model), text("How many?")
    with pytest.raises(AttributeError):
        running.generate([good, Sample("bad", ({"role": "user"},))])  # type: ignore[arg-type]
    assert running.idle and running.generate([good])


def test_the_failure_of_anothers_request_is_kept_for_whoever_asked(model) -> None:
    running = engine(model)
    other = running.submit(Request(Sample("empty", ()), SamplingParams()))
    assert running.generate([text("How many?")])
    assert not running.idle
    with pytest.raises(RequestError, match="sample empty") as caught:
        running.step()
    assert caught.value.ticket == other and running.idle


def test_inference_mode_and_autocast_around_a_call_change_nothing(model) -> None:
    asked = sampled(2)[:4]
    expected = said(engine(model).generate(asked))
    running = engine(model)
    with torch.inference_mode():
        assert said(running.generate(asked)) == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert said(running.generate(asked)) == expected
    assert said(running.generate(asked)) == expected


def test_a_model_that_has_changed_its_type_is_refused_with_both() -> None:
    changed = tiny.model()
    running = engine(changed)
    changed.to(torch.bfloat16)
    with pytest.raises(UsageError, match=r"made for a model in torch.float32 on cpu, .* now in torch.bfloat16"):
        running.generate([text("How many?")])


def test_control_tokens_between_do_not_hide_a_stop_text(model) -> None:
    """They are not read, so a text goes on behind them."""
    tokenizer = tiny.tokenizer()
    a, b = tokenizer.encode("a"), tokenizer.encode("b")
    group = Group(1, text("q", stop=("ab",)), [], 0, 1, 0)
    for between in range(6):
        written = [*a, *[tokenizer.im_start] * between, *b]
        sequence = Running(group, 0, np.zeros(0), 0, [], 0, written, [0.0] * len(written))
        assert ending(sequence, tokenizer, set()) == "stop"


def test_a_control_token_is_no_stop_text(model) -> None:
    with pytest.raises(DataError, match=r"stop is '<\|im_start\|>', a control token and no text"):
        engine(model).generate([text("q", stop=("<|im_start|>",))])


# ---------------------------------------------------------------- what cannot be answered


def test_one_prompt_that_cannot_be_run_is_told_when_all_others_are_answered(model) -> None:
    asked = sampled(2)
    expected = said(engine(model).generate(asked))
    told: list[tuple[int, int]] = []
    running = engine(model)
    with pytest.raises(UnansweredError, match=r"sample circle.*exceed the model's 2048 positions") as caught:
        running.generate(
            [*asked[:3], text("circle " * 2100, 2), *asked[3:]], on_finish=lambda *counts: told.append(counts)
        )
    answers = caught.value.answers
    assert answers.pop(3) == [] and said(answers) == expected
    assert list(caught.value.failures) == [3] and caught.value.reason == "prompt"
    assert told[-1] == (2 * len(asked) + 2, 2 * len(asked) + 2)
    assert running.idle and kept(running) == (0,) * 5


def test_all_groups_that_are_no_numbers_in_one_step_are_named_and_none_goes_on() -> None:
    sick, word = poisoned()
    good = text("How many red ones?", 2)
    [expected] = engine(sick).generate([good])
    bad = [text(word, 2), text(f"{word} {word}", 1)]
    with pytest.raises(UnansweredError, match="sample seven: .*; sample seven seven: .* no numbers") as caught:
        engine(sick, slots=8).generate([bad[0], good, bad[1]])
    assert caught.value.answers == [[], expected, []] and set(caught.value.failures) == {0, 2}


def test_a_request_for_which_there_will_never_be_room_is_given_up_and_nobody_waits_for_ever(model) -> None:
    running = engine(model, slots=4)
    ticket = running.submit(text("How many?", 4))
    running.slots = 2
    assert running.generate([text("Which one?", 2)])
    with pytest.raises(RequestError, match=r"sample How many\?: no room for it with 2 free slots") as caught:
        running.step()
    assert (caught.value.ticket, caught.value.reason) == (ticket, "room") and running.idle


def test_an_interrupt_in_a_decoding_step_is_as_if_it_had_not_been_tried(model, monkeypatch) -> None:
    asked = sampled(2)[:3]
    expected = said(engine(model, slots=8).generate(asked))
    running = engine(model, slots=8)
    tickets = [running.submit(request) for request in asked]
    running.step()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running, "_draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            running.step()
    found = drain(running)
    assert said([[found[ticket, sample] for sample in range(2)] for ticket in tickets]) == expected


def test_numbers_of_numpy_are_taken_for_what_they_are(model) -> None:
    plainly = text("How many?", 2, temperature=0.5, seed=2**45, top_k=7)
    numpys = text("How many?", np.int64(2), temperature=np.float32(0.5), seed=np.int64(2**45), top_k=np.int32(7))
    assert engine(model).generate([numpys]) == engine(model).generate([plainly])


def test_the_default_type_of_torch_changes_no_draw(model) -> None:
    asked = sampled(2)
    expected = said(engine(model).generate(asked))
    torch.set_default_dtype(torch.float64)
    try:
        assert said(engine(model).generate(asked)) == expected
    finally:
        torch.set_default_dtype(torch.float32)
