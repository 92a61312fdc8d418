"""Parameters and optimizer states in bfloat16, written with stochastic rounding; gradients in a type of their own.

Rounding to nearest loses every update smaller than half a step of the type (1/256 of the value): late in training,
all of them. Rounded up with the probability of what is lost (Gupta et al., 2015), an update arrives on average. The
arithmetic is float32; only what is kept between steps is narrow.

The same step of the same training rounds the same way: noise is a function of the seed, the step and the shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.distributed.tensor import DTensor

__all__ = ["Gradients", "Noise", "RoundedAdamW", "local", "round_stochastically"]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a divided tensor, sharing its memory; any other tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def round_stochastically(value: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Float32 to bfloat16, up or down so that the mean is the value; what bfloat16 holds stays as it is.

    Args:
        value: float32 of any shape.
        generator: of the noise, on the same device.
    """
    noise = torch.randint(0, 1 << 16, value.shape, dtype=torch.int32, device=value.device, generator=generator)
    bits = value.contiguous().view(torch.int32)
    rounded = ((bits + noise) & -65536).view(torch.float32)
    # Infinities and NaN have no neighbours to choose between.
    return torch.where(torch.isfinite(value), rounded, value).to(torch.bfloat16)


class Noise:
    """Writes float32 results into whatever a tensor is kept in.

    Args:
        seed: of the training.
        shard: number of this process's part of every parameter; those that repeat a part round alike.
    """

    def __init__(self, seed: int, shard: int) -> None:
        self._seed = seed
        self._shard = shard
        self._generators: dict[torch.device, torch.Generator] = {}

    def begin(self, step: int, device: torch.device) -> None:
        """Noise of a step from here on."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device)
        key = (self._seed * 1_000_003 + step) * 65_537 + self._shard
        self._generators[device].manual_seed(key % 2**63)

    def write(self, target: torch.Tensor, value: torch.Tensor) -> None:
        """Put a float32 value into a tensor of its own or a narrower type."""
        if target.dtype == torch.bfloat16:
            value = round_stochastically(value, self._generators[value.device])
        target.copy_(value)


class Gradients:
    """Where a parameter's gradient adds up: in the parameter's own type, or in another.

    Args:
        dtype: in which they add up; None for that of the parameters, in ``parameter.grad``.
    """

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        self.dtype = dtype
        self._sums: dict[torch.Tensor, torch.Tensor] = {}

    def watch(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Take over every gradient as soon as it is there, so that no second copy of all of them exists."""
        for parameter in parameters if self.dtype else ():
            parameter.register_post_accumulate_grad_hook(self._take)  # type: ignore[no-untyped-call]

    def _take(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        fresh = local(parameter.grad)
        if parameter in self._sums:
            self._sums[parameter] += fresh
        else:
            self._sums[parameter] = fresh.to(self.dtype, copy=True)
        parameter.grad = None

    def __call__(self, parameter: torch.Tensor) -> torch.Tensor | None:
        """This process's part of a gradient."""
        if self.dtype:
            return self._sums.get(parameter)
        return None if parameter.grad is None else local(parameter.grad)

    def squared_norm(self, parameters: Iterable[torch.Tensor], device: torch.device) -> torch.Tensor:
        """Sum of squares over this process's parts, float32."""
        norms = [torch.linalg.vector_norm(one, dtype=torch.float32) for one in self._found(parameters)]
        return torch.stack(norms).square().sum() if norms else torch.zeros((), device=device)

    def scale(self, parameters: Iterable[torch.Tensor], factor: float) -> None:
        """Multiply them all."""
        torch._foreach_mul_(self._found(parameters), factor)

    def _found(self, parameters: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        return [gradient for gradient in map(self, parameters) if gradient is not None]

    def always(self, parameter: torch.Tensor) -> torch.Tensor:
        """A gradient; zeros, kept, where there is none yet."""
        if self.dtype:
            if parameter not in self._sums:
                self._sums[parameter] = torch.zeros_like(local(parameter), dtype=self.dtype)
            return self._sums[parameter]
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        return local(parameter.grad)

    def drop(self, parameter: torch.Tensor) -> None:
        """Forget a gradient."""
        self._sums.pop(parameter, None)
        parameter.grad = None


class RoundedAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) over parts of parameters, states kept in a type of choice.

    Args:
        params: groups with ``lr`` and ``weight_decay``.
        gradients: where gradients are.
        noise: rounds what is kept in bfloat16.
        betas: decay of the two moments.
        state_dtype: of the moments.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        gradients: Gradients,
        noise: Noise,
        *,
        betas: tuple[float, float],
        state_dtype: torch.dtype,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": 0.0, "weight_decay": 0.0})
        self._gradients, self._noise = gradients, noise
        self._betas, self._eps, self._state_dtype = betas, eps, state_dtype

    def blank(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        """The state of a parameter that has not been updated."""
        return {
            "step": torch.zeros(()),
            "exp_avg": torch.zeros_like(parameter, dtype=self._state_dtype),
            "exp_avg_sq": torch.zeros_like(parameter, dtype=self._state_dtype),
        }

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        first, second = self._betas
        begun = False
        for group in self.param_groups:
            for parameter in group["params"]:
                if (gradient := self._gradients(parameter)) is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(self.blank(parameter))
                state["step"] += 1
                step = int(state["step"])
                if not begun:
                    self._noise.begin(2 * step, gradient.device)
                    begun = True
                gradient = gradient.float()
                mean, square = local(state["exp_avg"]), local(state["exp_avg_sq"])
                new_mean = mean.float().lerp(gradient, 1 - first)
                new_square = (square.float() * second).addcmul_(gradient, gradient, value=1 - second)
                self._noise.write(mean, new_mean)
                self._noise.write(square, new_square)
                size = (new_square / (1 - second**step)).sqrt_().add_(self._eps)
                kept = local(parameter)
                value = kept.float() * (1 - group["lr"] * group["weight_decay"])
                value.addcdiv_(new_mean, size, value=-group["lr"] / (1 - first**step))
                self._noise.write(kept, value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; unlike torch's own, states keep their type."""
        super().load_state_dict(state_dict)
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        for number, parameter in enumerate(parameters):
            for name, value in state_dict["state"].get(number, {}).items():
                self.state[parameter][name] = value.to(self.state[parameter][name].device, copy=True)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._gradients.drop(parameter)
