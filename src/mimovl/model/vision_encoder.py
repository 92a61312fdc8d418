"""The native-resolution vision transformer of Qwen2.5-VL (MiMo-VL §2.1, appendix B).

Patches of 2 frames × 14 × 14 pixels come in merge order (2×2 neighbours together) with no resizing to a fixed
square. Most blocks attend within 112-pixel windows, a few (``full_attention_blocks``) within the whole frame;
frames of a video never attend to each other here: time is the language model's business.

Legend: P patches, C vision hidden size, H heads, D head dimension.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import nn

from mimovl.errors import DataError
from mimovl.model.attention import PackedAttention, Segments
from mimovl.model.config import VisionConfig
from mimovl.model.layers import RMSNorm, SwiGLU
from mimovl.model.rope import Rotation, rotate, vision_rotation

__all__ = ["VisionEncoder", "WindowPlan"]


class WindowPlan:
    """How the patches of a batch of pictures are ordered into windows, and where windows and frames end.

    Args:
        grid_thw: patch grid of each picture or clip, shape (I, 3): frames / 2, rows, columns.
        config: patch, merge and window sizes.
        device: of the patches; unset for that of the grids, which are read on the CPU.
    """

    def __init__(self, grid_thw: torch.Tensor, config: VisionConfig, device: torch.device | None = None) -> None:
        merge = config.spatial_merge_size
        side = config.window_size // merge // config.patch_size
        order, positions, window_lengths, frame_lengths = [], [], [], []
        start = 0
        for frames, rows, columns in grid_thw.tolist():
            merged_rows, merged_columns = rows // merge, columns // merge
            # Merged cells of one frame in window order: windows row by row, cells row by row within each.
            index = torch.arange(merged_rows * merged_columns).view(merged_rows, merged_columns)
            windows = [
                index[top : top + side, left : left + side].reshape(-1)
                for top in range(0, merged_rows, side)
                for left in range(0, merged_columns, side)
            ]
            cells = torch.cat(windows)
            offsets = start + torch.arange(frames)[:, None] * len(cells)
            order.append((offsets + cells[None, :]).reshape(-1))
            window_lengths += [len(window) * config.merge_unit for window in windows] * frames
            frame_lengths += [rows * columns] * frames
            row = torch.arange(rows).view(-1, 1).expand(rows, columns)
            column = torch.arange(columns).view(1, -1).expand(rows, columns)
            grid = torch.stack([row, column], dim=-1)
            blocks = grid.view(merged_rows, merge, merged_columns, merge, 2).transpose(1, 2).reshape(-1, 2)
            positions.append(blocks.repeat(frames, 1))
            start += frames * len(cells)
        device = device or grid_thw.device
        empty = torch.zeros(0, dtype=torch.long)
        self.order = torch.cat([*order, empty]).to(device, non_blocking=True)
        """Merged cells in window order, shape (P / 4,)."""
        self.restore = torch.argsort(self.order)
        self.positions = torch.cat([*positions, empty.view(0, 2)]).to(device, non_blocking=True)
        """Row and column of every patch, in the order they come in, shape (P, 2)."""
        self.windows = _segments(window_lengths, device)
        self.frames = _segments(frame_lengths, device)


def _segments(lengths: list[int], device: torch.device) -> Segments:
    bounds = [0, *accumulate(lengths)]
    return Segments(torch.tensor(bounds).to(device, non_blocking=True), bounds)


class _VisionAttention(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x_PC: torch.Tensor, rotation: Rotation, attention: PackedAttention) -> torch.Tensor:
        q, k, v = self.qkv(x_PC).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        mixed = attention(0, rotate(q, rotation), rotate(k, rotation), v)
        out: torch.Tensor = self.proj(mixed.flatten(1))
        return out


class _VisionBlock(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.hidden_size, config.norm_eps)
        self.norm2 = RMSNorm(config.hidden_size, config.norm_eps)
        self.attn = _VisionAttention(config)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size, bias=True)

    def forward(self, x_PC: torch.Tensor, rotation: Rotation, attention: PackedAttention) -> torch.Tensor:
        x_PC = x_PC + self.attn(self.norm1(x_PC), rotation, attention)
        out: torch.Tensor = x_PC + self.mlp(self.norm2(x_PC))
        return out


class VisionEncoder(nn.Module):
    """Patches in, one feature a patch out."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        # The published convolution has stride = kernel, so it is a matrix product over flattened patches.
        self.patch_embed = nn.Linear(config.patch_dim, config.hidden_size, bias=False)
        self.blocks = nn.ModuleList(_VisionBlock(config) for _ in range(config.depth))

    def forward(self, patches: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        """Encode pictures and clips packed end to end.

        Args:
            patches: flattened pixels in merge order, shape (P, patch_dim).
            grid_thw: patch grid of each picture or clip, shape (I, 3), best on the CPU; the products sum to P.

        Returns:
            Features in the order the patches came in, shape (P, C).

        Raises:
            DataError: patches and grids disagree; names both numbers.
        """
        plan = WindowPlan(grid_thw, self.config, patches.device)
        described = plan.positions.shape[0]
        if patches.shape != (described, self.config.patch_dim):
            raise DataError(
                f"patches have shape {list(patches.shape)}, grid_thw describes {[described, self.config.patch_dim]}; "
                "take both from one Processor"
            )
        x_PC = self.patch_embed(patches.to(self.patch_embed.weight.dtype))
        x_PC = self._arrange(x_PC, plan.order)
        positions = self._arrange(plan.positions, plan.order)
        rotation = vision_rotation(positions, self.config)
        windowed = PackedAttention(plan.windows, causal=False)
        full = PackedAttention(plan.frames, causal=False)
        for number, block in enumerate(self.blocks):
            x_PC = block(x_PC, rotation, full if number in self.config.full_attention_blocks else windowed)
        return self._arrange(x_PC, plan.restore)

    def _arrange(self, x_PC: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Rows moved by whole merge cells; ``order`` has shape (P / 4,)."""
        cells = x_PC.view(-1, self.config.merge_unit, x_PC.shape[-1])
        return cells[order].view_as(x_PC)
