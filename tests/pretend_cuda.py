"""A GPU that is not there: tensors of device ``cuda`` that compute on the CPU and refuse to meet the CPU's own.

    with pretend_cuda():
        model.to("cuda")            from here on, what CUDA would refuse is refused

Generators, ``torch.cuda`` and variable-length attention play along; CUDA graphs and FSDP's dividing do not exist.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.attention import varlen as of_torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from mimovl.generate.block_decoder import BlockDecoder, _Recorded
from mimovl.model.attention import _flash
from mimovl.train import fsdp

__all__ = ["Pretended", "pretend_cuda", "waits"]

aten: Any = torch.ops.aten
CUDA = torch.device("cuda", 0)
BENEATH = torch.device("meta")
"""What torch's own C++ takes it for: it has no guard of CUDA devices where it was built without."""

MAY_MIX = {"aten::copy_", "aten::index.Tensor", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}
"""Operations that take tensors of both devices."""
STRICT = ("aten::_fused_adam", "aten::stack", "aten::cat")
"""Operations that take not even a scalar of the CPU."""
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::addmm_", "aten::mv", "aten::dot")
"""CUDA multiplies no matrices of integers."""
ONLY_CPU = ("_for_cpu", "mkldnn", "aten::histogram")


class Pretended(torch.Tensor):
    """A tensor on the pretended device, around the one of the CPU that computes."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Pretended:
        """Around a tensor of the CPU."""
        made: Pretended = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=BENEATH,
            requires_grad=False,
        )
        made.held = inner
        return made

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)
    is_cpu = property(lambda self: False)

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Where it is already it stays, and is not copied."""
        device = next((x for x in (*args, kwargs.get("device")) if isinstance(x, str | torch.device)), None)
        if device is not None and torch.device(device).type in ("cuda", BENEATH.type):
            dtype = next((x for x in (*args, kwargs.get("dtype")) if isinstance(x, torch.dtype)), self.dtype)
            copied = bool(kwargs.get("copy"))
            return self if dtype == self.dtype and not copied else super().to(dtype, copy=copied)
        return super().to(*args, **kwargs)

    def cuda(self, *_: Any, **__: Any) -> torch.Tensor:
        """It is there."""
        return self

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Pretended({self.held!r})"

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, torch.Tensor], *_: Any) -> Pretended:
        return Pretended(parts["held"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Pretended:
        if id(self) not in memo:
            copied = Pretended(self.held.detach().clone()).requires_grad_(self.requires_grad)
            copied._is_param = getattr(self, "_is_param", False)
            memo[id(self)] = copied
        found: Pretended = memo[id(self)]
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def data_ptr(self) -> int:
        """Of the inner tensor."""
        return self.held.data_ptr()

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_laid(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_laid(index), value)

    def tolist(self) -> Any:
        """As numbers, after a wait."""
        waits[_place()] += 1
        return self.held.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        """Refused, as CUDA does."""
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first (pretended device)")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _laid(index: Any) -> Any:
    """Lists of an index as tensors of the device; torch's own C++ would make them where it takes this one to be."""
    if isinstance(index, tuple):
        return tuple(map(_laid, index))
    if not isinstance(index, list | np.ndarray):
        return index
    made = torch.tensor(index, device=CUDA)
    return made if made.numel() else made.long()


class _Generator(torch.Generator):
    """Of either device; draws on the CPU."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = super().__new__(cls, "cpu")  # type: ignore[call-arg]
        made.__dict__["on"] = torch.device(device).type
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where it was asked to be."""
        return torch.device(self.__dict__["on"])


waits: Counter[str] = Counter()
"""How often each place of the product waited for the device."""


def _place() -> str:
    frames = [f for f in traceback.extract_stack() if "/mimovl/" in f.filename]
    return f"{frames[-1].filename.split('/mimovl/')[-1]}:{frames[-1].lineno}" if frames else "elsewhere"


def _refuse(func: Any, text: str) -> None:
    raise RuntimeError(f"{text} (pretended device, {func.name()})")


def _check(func: Any, tensors: list[torch.Tensor], args: Any, kwargs: Any) -> None:
    """Refuse what CUDA refuses."""
    name = func.name()
    plain = [t for t in tensors if not isinstance(t, Pretended) and t.device.type == "cpu"]
    if any(part in name for part in ONLY_CPU):
        _refuse(func, "Could not run with arguments from the 'CUDA' backend")
    short = name.split(".")[0]
    if short in PRODUCTS and any(not (t.is_floating_point() or t.is_complex()) for t in tensors):
        _refuse(func, "not implemented for integers")
    if plain and name not in MAY_MIX and short not in MAY_MIX:
        strict = name.startswith(STRICT)
        if any(t.dim() or strict for t in plain):
            _refuse(func, "Expected all tensors to be on the same device, but found cuda:0 and cpu")
    if plain and name.startswith(("aten::index.", "aten::index_put")):
        values = args[2:3] if "put" in name else ()
        if any(not isinstance(t, Pretended) and (t is args[0] or t.dim()) for t in (args[0], *values)):
            _refuse(func, "indices should be either on cpu or on the same device as the indexed tensor")
    if plain and short != "aten::copy_":
        for number, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[number] if number < len(args) else kwargs.get(argument.name)
                if isinstance(given, torch.Tensor) and not isinstance(given, Pretended):
                    _refuse(func, "Expected all tensors to be on the same device: the result is on the cpu")


def _waits(func: Any, args: Any, target: str) -> bool:
    """Whether CUDA would make the host wait for the result."""
    if func in (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default):
        return True
    if func is aten.copy_.default:
        return not isinstance(args[0], Pretended)
    if func is aten.index.Tensor:
        return any(isinstance(t, Pretended) and t.dtype == torch.bool for t in args[1])
    return target == "cpu" and func is aten._to_copy.default


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    """An operation: refused, or computed on the CPU and put back on the pretended device."""
    flat, spec = tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, torch.Tensor)]
    wrapped = [x for x in tensors if isinstance(x, Pretended)]
    asked = kwargs.get("device")
    target = torch.device(asked).type if asked is not None else "cuda" if wrapped else "cpu"
    if target == BENEATH.type and (wrapped or not tensors and not getattr(_asked, "meta", False)):
        target = "cuda"
    if not wrapped and target != "cuda":
        return func(*args, **kwargs)
    if wrapped and not func.name().startswith("c10d"):
        _check(func, tensors, args, kwargs)
    if wrapped and _waits(func, args, target):
        waits[_place()] += 1
    owners = {id(x.held): x for x in wrapped}
    inner_args, inner_kwargs = tree_unflatten([x.held if isinstance(x, Pretended) else x for x in flat], spec)
    if asked is not None and target == "cuda":
        inner_kwargs["device"] = torch.device("cpu")
    if inner_kwargs.get("pin_memory"):
        inner_kwargs["pin_memory"] = False
    if func is aten._fused_sdp_choice.default:
        return 0
    if func.name() in ("aten::mm.dtype", "aten::bmm.dtype"):
        left, right, dtype = inner_args
        if left.dtype not in (torch.bfloat16, torch.float16) or dtype != torch.float32:
            _refuse(func, "out_dtype must be float32, of half precision")
        out = func.overloadpacket.default(left.to(dtype), right.to(dtype))
    else:
        out = func(*inner_args, **inner_kwargs)
    for x in wrapped:
        if x.shape != x.held.shape:
            raise NotImplementedError(f"{func.name()} changes a shape in place; the pretended device cannot follow")
    if target != "cuda" or func is aten.copy_.default and not isinstance(args[0], Pretended):
        return args[0] if func is aten.copy_.default else out
    return tree_map_only(torch.Tensor, lambda x: owners.get(id(x)) if id(x) in owners else Pretended(x), out)


_asked = threading.local()


class _Asked(TorchFunctionMode):
    """Notes who asks for the meta device in so many words; torch's own C++ asks for it where it means ``BENEATH``."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        generator = kwargs.get("generator")
        if generator is not None:
            first = next((x.device for x in args if isinstance(x, torch.Tensor)), generator.device)
            where = first if device is None else torch.device(device)
            if where.type not in ("meta", generator.device.type):
                raise RuntimeError(f"Expected a '{where}' device type for generator but found '{generator.device}'")
        before = getattr(_asked, "meta", False)
        _asked.meta = device is not None and torch.device(device).type == "meta"
        try:
            return func(*args, **kwargs)
        finally:
            _asked.meta = before


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor | None,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
    seqused_k: torch.Tensor | None = None,
    block_table: torch.Tensor | None = None,
    num_splits: int | None = None,
) -> torch.Tensor:
    """What ``torch.nn.attention.varlen.varlen_attn`` computes, segment by segment."""
    given = [x for x in (query, key, value, cu_seq_q, cu_seq_k, seqused_k, block_table) if x is not None]
    assert all(isinstance(x, Pretended) for x in given), "every argument is on the device"
    assert all(x.dtype in (torch.bfloat16, torch.float16) for x in given[:3]), "flash kernels compute in half precision"
    assert all(x.dtype == torch.int32 for x in given[3:]), "lengths and pages are int32"
    assert window_size in ((-1, -1), (-1, 0))
    assert enable_gqa or query.shape[-2] == key.shape[-2]
    with torch.no_grad():
        starts_q, starts_k, used, table = (
            x if x is None else x.held.tolist() if isinstance(x, Pretended) else x.tolist()
            for x in (cu_seq_q, cu_seq_k, seqused_k, block_table)
        )
    assert starts_q is not None
    assert starts_q[-1] == len(query)
    outs = []
    for number, (start, end) in enumerate(zip(starts_q, starts_q[1:], strict=False)):
        assert end - start <= max_q
        if table is not None:
            assert used is not None
            size = key.shape[1]
            pages = table[number][: -(-used[number] // size)]
            k, v = (torch.cat([x[page] for page in pages])[: used[number]] for x in (key, value))
        else:
            assert starts_k is not None
            assert starts_k[-1] == len(key)
            k, v = (x[starts_k[number] : starts_k[number + 1]] for x in (key, value))
        assert len(k) <= max_k
        q = query[start:end]
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q.float(), k.float()) * (scale or q.shape[-1] ** -0.5)
        if window_size == (-1, 0):
            seen = torch.ones(len(q), len(k), dtype=torch.bool, device=q.device).tril(len(k) - len(q))
            scores = scores.masked_fill(~seen, float("-inf"))
        outs.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v.float()).to(q.dtype))
    return torch.cat(outs)


def _unrecorded(self: BlockDecoder, rows: int, width: int) -> Any:
    """A step of so many rows that is computed each time; there is no graph to replay."""
    device = self.model.device
    told = torch.from_numpy(self._told((), rows, width)).to(device)
    return _Recorded(told, torch.zeros(0, device=device), None)


def _patches() -> list[Any]:
    """What the world is told."""

    class Properties:
        name = "NVIDIA H200"
        total_memory = 141 << 30
        major, minor, multi_processor_count = 9, 0, 132

    stream = mock.Mock()
    cuda: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda _: None,
        "synchronize": lambda _=None: None,
        "get_device_name": lambda _=None: "NVIDIA H200",
        "get_device_capability": lambda _=None: (9, 0),
        "get_device_properties": lambda _=None: Properties(),
        "max_memory_allocated": lambda _=None: 0,
        "memory_allocated": lambda _=None: 0,
        "reset_peak_memory_stats": lambda _=None: None,
        "mem_get_info": lambda _=None: (100 << 30, 141 << 30),
        "empty_cache": lambda: None,
        "manual_seed_all": lambda _: None,
        "manual_seed": lambda _: None,
        "get_rng_state": lambda _=None: torch.get_rng_state(),
        "set_rng_state": lambda *_: None,
        "is_current_stream_capturing": lambda: False,
        "Stream": lambda _=None: stream,
        "current_stream": lambda _=None: stream,
        "stream": lambda _: contextlib.nullcontext(),
    }
    begin = dist.init_process_group
    mesh = init_device_mesh
    thread = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def bootstrap(self: threading.Thread) -> None:
        with _Mode(), _Asked():  # type: ignore[no-untyped-call]
            thread(self)

    return [
        *(mock.patch.object(torch.cuda, name, value) for name, value in cuda.items()),
        mock.patch.object(torch, "Generator", _Generator),
        mock.patch.object(torch.Tensor, "pin_memory", lambda self: self),
        mock.patch.object(torch.Tensor, "record_stream", lambda self, _: None),
        mock.patch.object(of_torch, "varlen_attn", varlen),
        mock.patch.object(BlockDecoder, "_record", _unrecorded),
        mock.patch.object(dist, "init_process_group", lambda backend, **options: begin("gloo", **options)),
        mock.patch.object(fsdp, "init_device_mesh", lambda _, *args, **options: mesh("cpu", *args, **options)),
        mock.patch.object(fsdp, "shard_model", lambda *_: None),
        mock.patch.object(fsdp, "FSDPModule", nn.Module),
        mock.patch.object(nn.Module, "set_reshard_after_backward", lambda *_: None, create=True),
        mock.patch.object(threading.Thread, "_bootstrap_inner", bootstrap),
    ]


@contextlib.contextmanager
def pretend_cuda() -> Iterator[None]:
    """A world in which there is one GPU."""
    swap = torch.__future__.get_swap_module_params_on_conversion()
    waits.clear()
    with contextlib.ExitStack() as stack:
        for patch in _patches():
            stack.enter_context(patch)
        stack.callback(_flash.cache_clear)
        _flash.cache_clear()
        torch.__future__.set_swap_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swap)
        lift = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, lift)
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(_Mode())  # type: ignore[no-untyped-call]
        stack.enter_context(_Asked())
        yield
