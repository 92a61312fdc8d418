"""Everything that turns a Sample into tensors: tokenizer, chat template, picture and clip settings.

    processor = Processor.load(checkpoint)
    encoded = processor.encode(sample)            for training
    prompt = processor.encode_prompt(messages, media)   for generation

It owns the rule that decides most bugs of the field: one placeholder becomes exactly as many visual tokens as the
picture has merged patches, positions are computed once, here, and a picture is never cut.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import torch

from mimovl.data.chat_template import ChatTemplate, ask_without_thinking, chatml, read_table
from mimovl.data.clip_header import clip_header
from mimovl.data.image import IMAGE_MEAN, IMAGE_STD, ImageSettings, image_size, open_image, patchify, resized_size
from mimovl.data.positions import VisualSpan, mrope_positions
from mimovl.data.tokenizer import STRUCTURE_TOKENS, Tokenizer
from mimovl.data.video import open_video
from mimovl.data.video_sampling import MIMO_VL_VIDEO, VideoSettings, clip_size, sample_times
from mimovl.errors import CheckpointError, DataError
from mimovl.media_check import check_media
from mimovl.model.config import ModelConfig
from mimovl.model.config_section import Section
from mimovl.model.hf_checkpoint import read_config, read_side_files
from mimovl.types import IGNORE_INDEX, Media, Message, Part, Sample

__all__ = ["Encoded", "Processor"]


@dataclass(slots=True)
class Encoded:
    """One sample as tensors, ready to be packed. N tokens, P patches, I pictures and clips."""

    id: str
    source: str
    tokens: torch.Tensor
    """Shape (N,), int64."""
    positions: torch.Tensor
    """Shape (3, N), int64."""
    labels: torch.Tensor
    """The next token where it is learned, ``IGNORE_INDEX`` elsewhere, shape (N,)."""
    patches: list[torch.Tensor] = field(default_factory=list)
    """One (patches, patch_dim) tensor for each picture or clip."""
    grid_thw: list[tuple[int, int, int]] = field(default_factory=list)
    segments: tuple[int, ...] = ()
    """Lengths of the conversations it is made of, where it is more than one: none attends to another."""

    @property
    def num_tokens(self) -> int:
        """Its length."""
        return int(self.tokens.shape[0])

    @property
    def num_labels(self) -> int:
        """Tokens that carry loss."""
        return int((self.labels != IGNORE_INDEX).sum())


@dataclass(frozen=True)
class Processor:
    """Tokenizer, template and settings of one checkpoint."""

    tokenizer: Tokenizer
    template: ChatTemplate
    config: ModelConfig
    image: ImageSettings = ImageSettings()
    video: VideoSettings = VideoSettings()

    def __post_init__(self) -> None:
        if len(self.tokenizer) > self.config.language.vocab_size:
            raise CheckpointError(
                f"the tokenizer has {len(self.tokenizer)} tokens, the model {self.config.language.vocab_size}; "
                "they belong to different checkpoints"
            )
        named = [("<|image_pad|>", "image_token_id"), ("<|video_pad|>", "video_token_id")]
        if self.config.vision.depth:  # a language model alone knows nothing of delimiters
            named += [("<|vision_start|>", "vision_start_token_id"), ("<|vision_end|>", "vision_end_token_id")]
        for token, name in named:
            if (own := self.tokenizer.id(token)) != (told := getattr(self.config, name)):
                raise CheckpointError(
                    f"{token} is {own} in the tokenizer, {name} is {told} in the model's configuration; "
                    "they belong to different checkpoints, or config.json lacks the entry"
                )

    @classmethod
    def load(cls, path: str | Path) -> Processor:
        """The processor of a checkpoint folder.

        Raises:
            CheckpointError: the folder lacks a tokenizer, a template or a readable configuration.
        """
        return cls.from_files(read_side_files(path), read_config(path), where=str(path))

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], config: ModelConfig, *, where: str) -> Processor:
        """The processor of a checkpoint's side files."""
        tokenizer = Tokenizer.from_files(dict(files), where=where)
        # Newer transformers keeps both tables in processor_config.json.
        both = Section(read_table(files, "processor_config.json", where=where), f"{where}: processor_config.json")
        pictures, clips = both.table("image_processor"), both.table("video_processor")
        if table := read_table(files, "preprocessor_config.json", where=where):
            pictures = Section(table, f"{where}: preprocessor_config.json")
        if table := read_table(files, "video_preprocessor_config.json", where=where):
            clips = Section(table, f"{where}: video_preprocessor_config.json")
        for section in (pictures, clips):
            section.only("image_mean", list(IMAGE_MEAN), None)
            section.only("image_std", list(IMAGE_STD), None)
        least, most = _pixels(pictures, ImageSettings.min_pixels, ImageSettings.max_pixels)
        image = replace(_layout(config), min_pixels=least, max_pixels=most)
        least, most = _pixels(clips, MIMO_VL_VIDEO.min_pixels, MIMO_VL_VIDEO.max_pixels)
        ours = clips.table("mimovl")
        ours.only("spacing", "steps", "ends", None)
        video = VideoSettings(
            fps=clips.number("fps", VideoSettings.fps),
            min_frames=clips.integer("min_frames", VideoSettings.min_frames),
            max_frames=clips.integer("max_frames", VideoSettings.max_frames),
            min_pixels=least,
            max_pixels=most,
            max_tokens=ours.integer("max_tokens", VideoSettings.max_tokens),
            spacing=ours.data.get("spacing") or (VideoSettings if ours.data else MIMO_VL_VIDEO).spacing,
        )
        return cls(tokenizer, ChatTemplate.from_files(files, where=where), config, image, video)

    @classmethod
    def fresh(cls, tokenizer: Tokenizer, config: ModelConfig, *, system: str | None = None) -> Processor:
        """The processor of a new model: ChatML, and the configuration fitted to the tokenizer.

        Args:
            tokenizer: of the new model.
            config: its shapes; vocabulary size and token ids are replaced by the tokenizer's.
            system: system prompt of the template; None for none.
        """
        fitted = config.with_vocabulary(
            len(tokenizer),
            image_token_id=tokenizer.id("<|image_pad|>"),
            video_token_id=tokenizer.id("<|video_pad|>"),
            vision_start_token_id=tokenizer.id("<|vision_start|>"),
            vision_end_token_id=tokenizer.id("<|vision_end|>"),
            eos_token_id=tokenizer.im_end,
            pad_token_id=tokenizer.end_of_text,
        )
        return cls(tokenizer, ChatTemplate(chatml(system)), fitted, _layout(fitted))

    def files(self) -> dict[str, bytes]:
        """Tokenizer, template and preprocessor files to put beside the weights."""
        common = {
            "processor_class": "Qwen2_5_VLProcessor",
            "patch_size": self.image.patch_size,
            "temporal_patch_size": self.image.temporal_patch_size,
            "merge_size": self.image.merge_size,
            "image_mean": list(IMAGE_MEAN),
            "image_std": list(IMAGE_STD),
        }
        image = {
            **common,
            "image_processor_type": "Qwen2VLImageProcessor",
            "min_pixels": self.image.min_pixels,
            "max_pixels": self.image.max_pixels,
            "size": {"shortest_edge": self.image.min_pixels, "longest_edge": self.image.max_pixels},
        }
        video = {
            **common,
            "video_processor_type": "Qwen2VLVideoProcessor",
            "size": {"shortest_edge": self.video.min_pixels, "longest_edge": self.video.max_pixels},
            "min_frames": self.video.min_frames,
            "max_frames": self.video.max_frames,
            "fps": self.video.fps,
            "mimovl": {"max_tokens": self.video.max_tokens, "spacing": self.video.spacing},
        }
        return {
            **self.tokenizer.files,
            **self.template.files(),
            "preprocessor_config.json": json.dumps(image, indent=2).encode(),
            "video_preprocessor_config.json": json.dumps(video, indent=2).encode(),
        }

    # ------------------------------------------------------------ encoding

    @cached_property
    def never_learned(self) -> torch.Tensor:
        """Ids that are read but never written: placeholders and picture delimiters."""
        return torch.tensor(sorted({*self.config.visual_token_ids}))

    def encode(self, sample: Sample) -> Encoded:
        """A training sample: loss on what the assistant says, and on all text of a document.

        Raises:
            DataError: placeholders and pictures do not match, or nothing in it can be learned; names the sample.
            MediaError: a picture or clip cannot be decoded.
        """
        check_media(sample)
        encoded = self._encode(sample.id, sample.messages, sample.media, generate=False)
        encoded.source = sample.source
        document = len(sample.messages) == 1 and sample.messages[0].role == "assistant"
        learned = torch.ones_like(encoded.tokens, dtype=torch.bool) if document else self._assistant(encoded.tokens)
        learned &= ~torch.isin(encoded.tokens, self.never_learned)
        encoded.labels[:-1] = torch.where(learned[1:], encoded.tokens[1:], IGNORE_INDEX)
        if not encoded.num_labels:
            raise DataError(f"sample {sample.id}: no token carries loss; it needs an assistant turn with text")
        return encoded

    def encode_prompt(
        self,
        messages: Sequence[Message],
        media: Mapping[str, Media],
        *,
        id: str = "prompt",
        thinking: bool | None = None,
        generate: bool = True,
    ) -> Encoded:
        """A conversation to be continued or scored; no labels.

        Args:
            messages: ends with a user turn if the assistant is to continue.
            media: pictures and clips by key.
            id: named in errors.
            thinking: False asks for an answer without thought.
            generate: end with the opening of an assistant turn.
        """
        if thinking is False:
            messages = ask_without_thinking(messages)
        return self._encode(id, messages, media, generate=generate)

    def placed(
        self, id: str, messages: Sequence[Message], media: Mapping[str, Media], *, generate: bool = False
    ) -> tuple[list[int], list[int], list[Part]]:
        """A conversation as token ids, the places of its visual placeholders (one each), and the parts that fill them.

        Raises:
            DataError: placeholders and pictures do not match; names the sample and both numbers.
        """
        parts = _visual_parts(id, messages, media)
        try:
            ids = self.tokenizer.encode(self.template.render(messages, generate=generate))
        except DataError as error:
            raise DataError(f"sample {id}: {error}") from None
        placeholder = {"image": self.config.image_token_id, "video": self.config.video_token_id}
        places = [n for n, token in enumerate(ids) if token in placeholder.values()]
        if [ids[place] for place in places] != [placeholder[part.type] for part in parts]:
            raise DataError(
                f"sample {id}: the chat template writes {len(places)} visual placeholders for {len(parts)} pictures "
                "and clips, or of another kind; use the template of a vision-language checkpoint"
            )
        return ids, places, parts

    def _encode(self, id: str, messages: Sequence[Message], media: Mapping[str, Media], *, generate: bool) -> Encoded:
        ids, places, parts = self.placed(id, messages, media, generate=generate)
        patches, visuals, tokens = [], [], []
        before = 0
        for place, part in zip(places, parts, strict=True):
            pixels, grid, seconds = self.visual(media[part.media], name=f"sample {id}, {part.type} {part.media[:12]}")
            tokens += ids[before:place]
            visual = VisualSpan(len(tokens), grid, seconds)
            tokens += [ids[place]] * visual.num_tokens(self.config.vision.merge_unit)
            before = place + 1
            patches.append(pixels)
            visuals.append(visual)
        tokens += ids[before:]
        return Encoded(
            id=id,
            source="",
            tokens=torch.tensor(tokens),
            positions=mrope_positions(len(tokens), visuals, self.config),
            labels=torch.full((len(tokens),), IGNORE_INDEX),
            patches=patches,
            grid_thw=[visual.grid_thw for visual in visuals],
        )

    def visual(self, media: Media, *, name: str) -> tuple[torch.Tensor, tuple[int, int, int], float]:
        """Patches of a picture or clip, its patch grid, and seconds between frame pairs (0 for a picture)."""
        if media.kind == "image":
            picture = open_image(media.data, name=name)
            size = resized_size(picture.height, picture.width, self.image)
            frames, seconds = [picture], 0.0
        else:
            length = media.num_frames / media.fps if media.fps > 0 else None
            clip = open_video(media.data, self.video, name=name, seconds=length, fit=self.frame_size)
            frames, seconds = clip.frames, self.image.temporal_patch_size / clip.fps
            size = (frames[0].height, frames[0].width)
        pixels = patchify(frames, size, self.image)
        rows, columns = size[0] // self.image.patch_size, size[1] // self.image.patch_size
        return pixels, (pixels.shape[0] // (rows * columns), rows, columns), seconds

    def visual_tokens(self, media: Media, source: bytes | BinaryIO, *, name: str) -> int:
        """Tokens of a picture or clip, from the header of its file."""
        pairs = 1
        if media.kind == "image":
            height, width = resized_size(*image_size(source, name=name), self.image)
        else:
            seconds = media.num_frames / media.fps if media.fps > 0 else None
            header = clip_header(source, name=name, seconds=seconds)
            count = len(sample_times(header.num_frames, header.duration, self.video).times)
            height, width = self.frame_size(header.height, header.width, count)
            pairs = -(-count // self.image.temporal_patch_size)
        return pairs * (height // self.image.factor) * (width // self.image.factor)

    def frame_size(self, height: int, width: int, num_frames: int) -> tuple[int, int]:
        """Frame size within the per-frame bounds and the clip's token budget."""
        image = self.image
        return clip_size(
            height, width, num_frames, self.video, factor=image.factor, temporal_patch_size=image.temporal_patch_size
        )

    def _assistant(self, tokens: torch.Tensor) -> torch.Tensor:
        """Which tokens the assistant wrote, its ``<|im_end|>`` included; shape (N,), bool."""
        learned = torch.zeros_like(tokens, dtype=torch.bool)
        role = self._role
        ids = tokens.tolist()
        ends = [n for n, token in enumerate(ids) if token == self.tokenizer.im_end]
        for start, token in enumerate(ids):
            first = start + 1 + len(role)
            if token != self.tokenizer.im_start or ids[start + 1 : first] != role:
                continue
            # The line break after the role may have merged with line breaks the answer begins with.
            first += self.tokenizer.decode(ids[first : first + 1]) == "\n"
            last = next((end for end in ends if end >= first), len(ids) - 1)
            learned[first : last + 1] = True
        return learned

    @cached_property
    def _role(self) -> list[int]:
        return self.tokenizer.encode("assistant")


def _visual_parts(id: str, messages: Sequence[Message], media: Mapping[str, Media]) -> list[Part]:
    """The pictures and clips of a conversation, in order, after checking that its text and media can be used.

    Raises:
        DataError: no message, a control token written as text, or a part without its media; names the sample.
    """
    if not messages:
        raise DataError(f"sample {id}: has no message")
    parts = []
    for part in (part for message in messages for part in message.content):
        if part.type == "text":
            if written := [token for token in STRUCTURE_TOKENS if token in part.text]:
                raise DataError(
                    f"sample {id}: its text contains {written[0]}, which only the chat template may write; "
                    "take it out, and put pictures in as parts of their own"
                )
            continue
        if part.media not in media:
            raise DataError(f"sample {id}: {part.type} {part.media!r} is named by a message but not in the sample")
        if (kind := media[part.media].kind) != part.type:
            raise DataError(f"sample {id}: {part.type} {part.media!r} is stored as {kind}")
        parts.append(part)
    return parts


def _layout(config: ModelConfig) -> ImageSettings:
    """Patch and merge sizes of a model."""
    vision = config.vision
    return ImageSettings(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
    )


def _pixels(section: Section, least: int, most: int) -> tuple[int, int]:
    """Smallest and largest area of a preprocessor's table, in its older or newer spelling."""
    size = section.table("size")
    least = section.integer("min_pixels", size.integer("shortest_edge", least))
    return least, section.integer("max_pixels", size.integer("longest_edge", most))
