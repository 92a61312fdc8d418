"""Shapes of the model, and the presets: ``tiny`` for two CPU cores, ``small`` for one GPU, and ``mimo-vl-7b``.

A :class:`ModelConfig` converts to and from the ``config.json`` of ``Qwen2_5_VLForConditionalGeneration``
(MiMo-VL report, appendix B; Qwen2.5-VL report, table 1), both the flat layout the published checkpoints use
and the nested one newer ``transformers`` writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

from mimovl.errors import CheckpointError
from mimovl.model.config_section import Section

__all__ = ["PRESETS", "LanguageConfig", "ModelConfig", "VisionConfig", "preset"]

TextAfterVideo = Literal["maximum", "spatial"]
"""Where the text behind a video takes up its positions.

``maximum``: one past the largest position of the video on any axis (Qwen2.5-VL as published, vLLM, MiMo-VL).
``spatial``: past the larger side of its grid, whatever its duration (``transformers`` from 5.3 on).
Images never differ. See docs/decisions/0002-positions-after-a-video.md.
"""


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """The native-resolution vision transformer (Qwen2.5-ViT)."""

    depth: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    full_attention_blocks: tuple[int, ...]
    patch_size: int = 14
    temporal_patch_size: int = 2
    spatial_merge_size: int = 2
    in_channels: int = 3
    window_size: int = 112
    """Side of an attention window in pixels."""
    tokens_per_second: int = 2
    """Temporal rotary positions a second of video spans."""
    norm_eps: ClassVar[float] = 1e-6
    """Fixed in the architecture: ``config.json`` has no entry for it."""
    rope_theta: ClassVar[float] = 10_000.0

    @property
    def patch_dim(self) -> int:
        """Values in one flattened patch: channels · frames · height · width."""
        return self.in_channels * self.temporal_patch_size * self.patch_size**2

    @property
    def merge_unit(self) -> int:
        """Patches that become one language-model token."""
        return self.spatial_merge_size**2


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """The causal decoder (Qwen2 layout: grouped-query attention, biased q, k, v)."""

    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    vocab_size: int
    mrope_section: tuple[int, int, int]
    """Rotary pairs given to time, height and width, chunked in that order; they sum to head_dim / 2."""
    rope_theta: float
    max_position: int
    norm_eps: float = 1e-5
    tie_embeddings: bool = False

    @property
    def head_dim(self) -> int:
        """Size of one head, query or key."""
        return self.hidden_size // self.num_heads


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that fixes the shape and the arithmetic of the model."""

    vision: VisionConfig
    language: LanguageConfig
    image_token_id: int = 151655
    video_token_id: int = 151656
    vision_start_token_id: int = 151652
    vision_end_token_id: int = 151653
    eos_token_id: int = 151645
    pad_token_id: int = 151643
    text_after_video: TextAfterVideo = "maximum"
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Entries of a loaded ``config.json`` that this package does not read; written back as they were."""

    def __post_init__(self) -> None:
        language, vision = self.language, self.vision
        for part, shapes in (("language", language), ("vision", vision)):
            for name, value in asdict(shapes).items():
                if isinstance(value, int) and value < 1 and name not in ("tie_embeddings", "depth", "num_layers"):
                    raise CheckpointError(f"{part}: {name} is {value}; it must be at least 1")
            if shapes.hidden_size % shapes.num_heads:
                raise CheckpointError(
                    f"{part}: hidden_size {shapes.hidden_size} is not divisible by its {shapes.num_heads} heads"
                )
        if language.num_heads % language.num_kv_heads:
            raise CheckpointError(
                f"language: {language.num_heads} heads cannot share {language.num_kv_heads} key/value heads evenly"
            )
        if (size := vision.hidden_size // vision.num_heads) % 4:
            raise CheckpointError(f"vision: head size {size} is not divisible by 4, two rotary axes of pairs")
        if vision.window_size < (side := vision.patch_size * vision.spatial_merge_size):
            raise CheckpointError(
                f"vision: window_size {vision.window_size} is below one merged patch of {side} pixels"
            )
        if sum(language.mrope_section) * 2 != language.head_dim:
            raise CheckpointError(
                f"language: mrope_section {list(language.mrope_section)} sums to {sum(language.mrope_section)}, "
                f"half of head_dim {language.head_dim} is {language.head_dim // 2}; they must be equal"
            )

    @property
    def visual_token_ids(self) -> tuple[int, ...]:
        """Placeholder and delimiter ids a model may read but never write."""
        return (self.image_token_id, self.video_token_id, self.vision_start_token_id, self.vision_end_token_id)

    def with_vocabulary(self, vocab_size: int, **token_ids: int) -> ModelConfig:
        """The same shape for another tokenizer; ``token_ids`` are fields that end in ``_token_id``."""
        changes: dict[str, Any] = token_ids
        return replace(self, language=replace(self.language, vocab_size=vocab_size), **changes)

    # ------------------------------------------------------------ Hugging Face

    def to_hf(self) -> dict[str, Any]:
        """The ``config.json`` of ``Qwen2_5_VLForConditionalGeneration``, flat as in published checkpoints."""
        language, vision = self.language, self.vision
        unread = {"attention_dropout": 0.0, "use_cache": True, "initializer_range": 0.02, "sliding_window": None}
        read = {
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "model_type": "qwen2_5_vl",
            "hidden_act": "silu",
            "hidden_size": language.hidden_size,
            "intermediate_size": language.intermediate_size,
            "num_hidden_layers": language.num_layers,
            "num_attention_heads": language.num_heads,
            "num_key_value_heads": language.num_kv_heads,
            "vocab_size": language.vocab_size,
            "max_position_embeddings": language.max_position,
            "rms_norm_eps": language.norm_eps,
            "rope_theta": language.rope_theta,
            "rope_scaling": {"type": "mrope", "mrope_section": list(language.mrope_section)},
            "tie_word_embeddings": language.tie_embeddings,
            "use_sliding_window": False,
            "image_token_id": self.image_token_id,
            "video_token_id": self.video_token_id,
            "vision_start_token_id": self.vision_start_token_id,
            "vision_end_token_id": self.vision_end_token_id,
            "vision_token_id": self.image_token_id,
            "bos_token_id": self.pad_token_id,
            "eos_token_id": self.eos_token_id,
            "pad_token_id": self.pad_token_id,
            "mimovl": {"text_after_video": self.text_after_video},
            "vision_config": {
                "model_type": "qwen2_5_vl",
                "depth": vision.depth,
                "hidden_size": vision.hidden_size,
                "intermediate_size": vision.intermediate_size,
                "num_heads": vision.num_heads,
                "fullatt_block_indexes": list(vision.full_attention_blocks),
                "patch_size": vision.patch_size,
                "spatial_patch_size": vision.patch_size,
                "temporal_patch_size": vision.temporal_patch_size,
                "spatial_merge_size": vision.spatial_merge_size,
                "in_channels": vision.in_channels,
                "in_chans": vision.in_channels,
                "window_size": vision.window_size,
                "tokens_per_second": vision.tokens_per_second,
                "out_hidden_size": language.hidden_size,
                "hidden_act": "silu",
            },
        }
        return {**unread, **self.extra, **read}

    @classmethod
    def from_hf(cls, data: Mapping[str, Any], *, where: str = "config.json") -> ModelConfig:
        """Read a ``config.json``, flat (published) or nested (``text_config``).

        Raises:
            CheckpointError: another architecture, or a missing or unsupported entry; names it and ``where``.
        """
        root = Section(data, where)
        if data.get("model_type") != "qwen2_5_vl":
            raise CheckpointError(
                f"{where}: model_type is {data.get('model_type')!r}, this package reads 'qwen2_5_vl' "
                "(Qwen2.5-VL and MiMo-VL checkpoints)"
            )
        text = root.table("text_config") if data.get("text_config") else root
        seen = root.table("vision_config")
        rope = text.table("rope_parameters" if text.data.get("rope_parameters") else "rope_scaling")

        root.only("quantization_config", None)
        for part in (text, seen):
            part.only("hidden_act", "silu", None)
        text.only("use_sliding_window", False, None)
        rope.only("rope_type", "default", "mrope", None)
        rope.only("type", "default", "mrope", None)
        hidden, heads = text.integer("hidden_size"), text.integer("num_attention_heads")
        head_dim = hidden // max(heads, 1)
        text.only("head_dim", head_dim, None)
        seen.only("out_hidden_size", hidden, None)
        seen.table("rope_parameters").only("rope_theta", VisionConfig.rope_theta, None)
        kv_heads = heads if "num_key_value_heads" in text.data and text.data["num_key_value_heads"] is None else None
        beginning = root.token("bos_token_id", text, 151643)
        values: dict[str, Any] = dict(
            vision=VisionConfig(
                depth=seen.integer("depth"),
                hidden_size=seen.integer("hidden_size"),
                intermediate_size=seen.integer("intermediate_size"),
                num_heads=seen.integer("num_heads"),
                full_attention_blocks=tuple(seen.integers("fullatt_block_indexes")),
                patch_size=seen.integer("patch_size", 14),
                temporal_patch_size=seen.integer("temporal_patch_size", 2),
                spatial_merge_size=seen.integer("spatial_merge_size", 2),
                in_channels=seen.integer("in_channels", seen.integer("in_chans", 3)),
                window_size=seen.integer("window_size", 112),
                tokens_per_second=seen.integer("tokens_per_second", 4),
            ),
            language=LanguageConfig(
                num_layers=text.integer("num_hidden_layers"),
                hidden_size=hidden,
                intermediate_size=text.integer("intermediate_size"),
                num_heads=heads,
                num_kv_heads=kv_heads or text.integer("num_key_value_heads"),
                vocab_size=text.integer("vocab_size"),
                mrope_section=_mrope_section(rope, head_dim),
                rope_theta=rope.number("rope_theta", text.number("rope_theta", 1e6)),
                max_position=text.integer("max_position_embeddings", 32768),
                norm_eps=text.number("rms_norm_eps", 1e-5),
                tie_embeddings=bool(data.get("tie_word_embeddings") or text.data.get("tie_word_embeddings")),
            ),
            image_token_id=root.integer("image_token_id", 151655),
            video_token_id=root.integer("video_token_id", 151656),
            vision_start_token_id=root.integer("vision_start_token_id", 151652),
            vision_end_token_id=root.integer("vision_end_token_id", 151653),
            eos_token_id=root.token("eos_token_id", text, 151645),
            pad_token_id=root.token("pad_token_id", text, beginning),
            text_after_video=_text_after_video(root),
            extra={key: value for key, value in data.items() if key not in _OWN_KEYS},
        )
        try:
            return cls(**values)
        except CheckpointError as error:
            raise CheckpointError(f"{where}: {error}") from None

    def describe(self) -> dict[str, Any]:
        """A plain dictionary for logs and error messages."""
        return {name: value for name, value in asdict(self).items() if name != "extra"}


_OWN_KEYS = {
    *("text_config", "vision_config", "rope_parameters", "mimovl"),
    *("transformers_version", "dtype", "torch_dtype"),
}
"""Entries not carried over as they were: read, or written anew with each checkpoint."""


def _mrope_section(rope: Section, head_dim: int) -> tuple[int, int, int]:
    """Rotary pairs of time, height and width; by default the published 16 : 24 : 24 of half the head."""
    if rope.data.get("mrope_section") is None:
        quarter = head_dim // 8
        rest = head_dim // 2 - quarter
        return quarter, rest - rest // 2, rest // 2
    section = rope.integers("mrope_section")
    if len(section) != 3:
        raise CheckpointError(f"{rope.where}: {rope.name}mrope_section has {len(section)} entries, it needs 3")
    return section[0], section[1], section[2]


def _text_after_video(root: Section) -> TextAfterVideo:
    """The checkpoint's own word, or else the rule of the library that wrote it."""
    own = root.table("mimovl")
    own.only("text_after_video", "maximum", "spatial", None)
    if rule := own.data.get("text_after_video"):
        return "spatial" if rule == "spatial" else "maximum"
    version = re.match(r"(\d+)\.(\d+)", str(root.data.get("transformers_version")))
    return "spatial" if version and (int(version[1]), int(version[2])) >= (5, 3) else "maximum"


PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(
        vision=VisionConfig(depth=6, hidden_size=128, intermediate_size=352, num_heads=4, full_attention_blocks=(2, 5)),
        language=LanguageConfig(
            num_layers=6,
            hidden_size=128,
            intermediate_size=384,
            num_heads=4,
            num_kv_heads=2,
            vocab_size=1280,
            mrope_section=(4, 6, 6),
            rope_theta=640_000.0,
            max_position=4096,
        ),
        text_after_video="spatial",
    ),
    "small": ModelConfig(
        vision=VisionConfig(
            depth=12, hidden_size=384, intermediate_size=1024, num_heads=6, full_attention_blocks=(3, 7, 11)
        ),
        language=LanguageConfig(
            num_layers=16,
            hidden_size=640,
            intermediate_size=1792,
            num_heads=10,
            num_kv_heads=2,
            vocab_size=4096,
            mrope_section=(8, 12, 12),
            rope_theta=640_000.0,
            max_position=16_384,
        ),
        text_after_video="spatial",
    ),
    "mimo-vl-7b": ModelConfig(
        vision=VisionConfig(
            depth=32,
            hidden_size=1280,
            intermediate_size=3456,
            num_heads=16,
            full_attention_blocks=(7, 15, 23, 31),
        ),
        language=LanguageConfig(
            num_layers=36,
            hidden_size=4096,
            intermediate_size=11008,
            num_heads=32,
            num_kv_heads=8,
            vocab_size=151_680,
            mrope_section=(16, 24, 24),
            rope_theta=640_000.0,
            max_position=128_000,
        ),
    ),
}
"""Named shapes. ``mimo-vl-7b`` is MiMo-VL §2.1 and appendix B. Ours: ``tiny``, as much as two CPU cores can train, and
``small``, about 100 million parameters with every size a multiple of 64, for one GPU."""


def preset(name: str) -> ModelConfig:
    """The preset of that name.

    Raises:
        CheckpointError: there is none; lists those there are.
    """
    if name not in PRESETS:
        raise CheckpointError(f"no model preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
