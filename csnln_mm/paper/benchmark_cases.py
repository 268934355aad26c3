"""What the benchmark measures: the operators and the network, and their reference."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from csnln_mm import ops
from csnln_mm.device import set_malloc_thresholds
from csnln_mm.ops.in_scale import choose_in_scale_tile
from csnln_mm.ops.precision import block_elements
from csnln_mm.paper.model_size import operators_replaced


class Case(NamedTuple):
    """One line of the table.

    Attributes:
        what: 'cross-scale', 'in-scale' or 'network'.
        side: of the square input.
        scale: upscaling factor; 1 for 'in-scale'.
        training: forward and backward pass, in the network a whole training step.
        reference: the reference implementation is measured too; at some sizes it takes hours.
        channels: C.
        recurrences: of the network.
        with_cp: of the network.
    """

    what: str
    side: int
    scale: int = 1
    training: bool = False
    reference: bool = True
    channels: int = 128
    recurrences: int = 12
    with_cp: bool = False

    @property
    def name(self) -> str:
        if self.what == 'network':
            passes = 'training step' if self.training else 'inference'
            checkpointing = ', with_cp' if self.with_cp else ''
            return f'network x{self.scale}, depth {self.recurrences}, {passes}{checkpointing}'
        passes = 'forward + backward' if self.training else 'forward'
        scale = f' x{self.scale}' if self.scale > 1 else ''
        return f'{self.what} attention{scale}, {passes}'


def _both_passes(*args: Any, **kwargs: Any) -> list[Case]:
    return [Case(*args, **kwargs), Case(*args, training=True, **kwargs)]


FULL = [
    *_both_passes('cross-scale', 48, 2),
    *_both_passes('cross-scale', 48, 3),
    *_both_passes('cross-scale', 96, 2),
    *_both_passes('cross-scale', 128, 2, reference=False),
    *_both_passes('cross-scale', 256, 2, reference=False),
    *_both_passes('in-scale', 48),
    *_both_passes('in-scale', 96),
    Case('network', 48, 4),
    Case('network', 48, 4, training=True),
    Case('network', 48, 4, training=True, with_cp=True, reference=False),
    Case('network', 96, 4, reference=False),
]

QUICK = [
    *_both_passes('cross-scale', 48, 2),
    Case('cross-scale', 48, 3),
    Case('cross-scale', 64, 2, training=True),
    Case('cross-scale', 96, 2),
    *_both_passes('in-scale', 48),
    Case('network', 24, 4, recurrences=2),
    Case('network', 24, 4, recurrences=2, training=True),
]


class Workload(NamedTuple):
    """A case that is ready to run.

    Attributes:
        run: does it once.
        matrix_products: does its matrix products alone, in the order and sizes of the operators;
            None for the network.
        result_bytes: of what a run hands out, output and gradients.
    """

    run: Callable[[], Any]
    matrix_products: Callable[[], Any] | None
    result_bytes: int


def reference_operators() -> AbstractContextManager[None]:
    """Let everything that calls the attention operators get their reference implementations."""
    return operators_replaced(ops.cross_scale_attention_reference, ops.in_scale_attention_reference)


def set_memory_like_the_tools(case: Case) -> None:
    """From now on the C library treats freed memory as in a training, or test, of this network."""
    set_malloc_thresholds(mmap=4) if case.with_cp else set_malloc_thresholds(mmap=None, trim=2047)


def make_workload(case: Case, device: torch.device) -> Workload:
    """Prepare a case, always with the same numbers."""
    torch.manual_seed(0)
    make = _network if case.what == 'network' else _operator
    return make(case, device)


def _operator(case: Case, device: torch.device) -> Workload:
    side, channels, embed = case.side, case.channels, case.channels // 2
    small = -(-side // case.scale)
    inputs = [
        torch.randn(1, c, s, s, device=device, requires_grad=case.training)
        for c, s in ((embed, side), (embed, small), (channels, side))
    ]
    grad = torch.randn(1, channels, case.scale * side, case.scale * side, device=device)

    def run() -> None:
        with nullcontext() if case.training else torch.no_grad():
            if case.what == 'cross-scale':
                out = ops.cross_scale_attention(*inputs, scale=case.scale)
            else:
                out = ops.in_scale_attention(*inputs)
        if case.training:
            torch.autograd.grad(out, inputs, grad)

    block = channels * case.scale**2
    elements = block_elements(device)
    if case.what == 'cross-scale':
        tile = max(256, elements // small**2), small**2
    else:
        rows = choose_in_scale_tile(side**2, device)
        tile = rows, elements // rows
    products = _matrix_products(side**2, small**2, embed, block, tile, case.training, device)
    results = [grad, *(inputs if case.training else ())]
    return Workload(run, products, sum(x.numel() * x.element_size() for x in results))


def _matrix_products(
    queries: int,
    candidates: int,
    embed: int,
    block: int,
    tile: tuple[int, int],
    training: bool,
    device: torch.device,
) -> Callable[[], None]:
    """Similarities and weighted sums, and with ``training`` their five in the backward pass."""
    rows, columns = (min(*sides) for sides in zip(tile, (queries, candidates)))
    q, k = (torch.randn(embed, n, device=device) for n in (queries, candidates))
    v, z = (torch.randn(n, block, device=device) for n in (candidates, queries))
    memory = torch.empty(rows * columns, device=device)

    def blocks() -> Iterator[tuple[slice, slice, Tensor]]:
        for start in range(0, queries, rows):
            part = slice(start, min(start + rows, queries))
            for first in range(0, candidates, columns):
                of = slice(first, min(first + columns, candidates))
                shape = part.stop - part.start, of.stop - of.start
                yield part, of, memory[: shape[0] * shape[1]].view(shape)

    def run() -> None:
        for part, of, m in blocks():
            torch.mm(q[:, part].t(), k[:, of], out=m)
            if of.start == 0:
                torch.mm(m, v[of], out=z[part])
            else:
                z[part].addmm_(m, v[of])
        if training:
            grad_k, grad_v = torch.zeros_like(k.t()), torch.zeros_like(v)
            for part, of, m in blocks():
                torch.mm(q[:, part].t(), k[:, of], out=m)
                grad_v[of].addmm_(m.t(), z[part])
                torch.mm(z[part], v[of].t(), out=m)
                grad_k[of].addmm_(m.t(), q[:, part].t())
                torch.mm(k[:, of], m.t())

    return run


def _network(case: Case, device: torch.device) -> Workload:
    from csnln_mm.networks import CSNLNNet

    net = CSNLNNet(
        upscale_factor=case.scale,
        mid_channels=case.channels,
        num_recurrences=case.recurrences,
        with_cp=case.with_cp,
    )
    net.to(device).train(case.training)
    lr = torch.rand(1, 3, case.side, case.side, device=device)
    hr = torch.rand(1, 3, case.scale * case.side, case.scale * case.side, device=device)
    optimizer = torch.optim.Adam(net.parameters())

    def run() -> Tensor:
        if not case.training:
            with torch.no_grad():
                return net(lr)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.l1_loss(net(lr), hr)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Workload(run, None, 0)
