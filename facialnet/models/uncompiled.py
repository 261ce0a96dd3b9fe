"""Running a compiled network layer by layer."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Run a network layer by layer: compiled code passes hooks by and cannot be traced."""
    compiled = network._compiled_call_impl
    network._compiled_call_impl = None
    try:
        yield
    finally:
        network._compiled_call_impl = compiled
