"""Which weights of a file belong to which parts of a network."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

_MOST = 8  # names that a line lists


@dataclass(frozen=True)
class Match:
    """How the weights of a file and those of a network go together.

    Attributes:
        below: the module of the network that the file's names belong to; empty for all of it.
        sizes: values of each tensor of the network, by name.
        loaded: name in the network to the file's tensor, of the same shape.
        missing: names of the network that the file does not have.
        shapes: name to its shape in the file and in the network, where these differ.
        unused: names of the file that the network does not have.
    """

    below: str
    sizes: dict[str, int]
    loaded: dict[str, Tensor]
    missing: list[str]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    unused: list[str]

    def parts(self) -> dict[str, dict[str, int]]:
        """Return for backbone and each head how many tensors and values there are and were found.

        Keys: ``tensors`` (found), ``of_tensors`` (all), ``values``, ``of_values``.
        """
        counts: dict[str, dict[str, int]] = {}
        for name, size in self.sizes.items():
            found = name in self.loaded
            zero = dict.fromkeys(("tensors", "of_tensors", "values", "of_values"), 0)
            part = counts.setdefault(part_of(name), zero)
            part["tensors"] += found
            part["of_tensors"] += 1
            part["values"] += size * found
            part["of_values"] += size
        return counts

    def lines(self) -> list[str]:
        """Say what was loaded and what was not."""
        lines = [
            f"  {part}: {n['tensors']:,} of {n['of_tensors']:,} tensors, "
            f"{n['values']:,} of {n['of_values']:,} values"
            for part, n in self.parts().items()
        ]
        if self.below:
            lines.insert(0, f"  its names are taken for those below {self.below}")
        shapes = [f"{name} ({_x(a)} there, {_x(b)} here)" for name, (a, b) in self.shapes.items()]
        used = [name.removeprefix(f"{self.below}.") for name in (*self.shapes, *self.loaded)]
        for what, names in (
            ("not in the file", _gathered(self.missing, self.sizes)),
            ("of another shape", shapes),
            ("in the file without use", _gathered(self.unused, [*self.unused, *used])),
        ):
            more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
            lines += [f"  {what}: {', '.join(names[:_MOST])}{more}"] if names else []
        return lines


def match(source: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> Match:
    """Match two state dicts by name and shape.

    A file of a bare backbone knows nothing of what it is part of here. So its names are looked up
    at the module, the whole network or one of the backbone, below which most of them fit.
    """
    below = _module(source, network)
    prefix = f"{below}." if below else ""
    there = {f"{prefix}{name}": tensor for name, tensor in source.items()}
    both = [name for name in network if name in there]
    return Match(
        below=below,
        sizes={name: tensor.numel() for name, tensor in network.items()},
        loaded={name: there[name] for name in both if there[name].shape == network[name].shape},
        missing=[name for name in network if name not in there],
        shapes={
            name: (tuple(there[name].shape), tuple(network[name].shape))
            for name in both
            if there[name].shape != network[name].shape
        },
        unused=[name for name in source if f"{prefix}{name}" not in network],
    )


def part_of(name: str) -> str:
    """Return the part of the network that a tensor is in: ``backbone``, or ``heads.<task>``."""
    steps = name.split(".")
    return ".".join(steps[:2]) if steps[0] == "heads" else steps[0]


def _module(source: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> str:
    fits: Counter[str] = Counter({"": 0})
    for name, tensor in network.items():
        for module in ("", *_ancestors(name)):
            rest = name.removeprefix(f"{module}.")
            known = rest in source and source[rest].shape == tensor.shape
            if known and (not module or part_of(name) == "backbone"):
                fits[module] += 1
    return fits.most_common(1)[0][0]  # of equals the first, which is the outermost


def _gathered(names: Collection[str], all_names: Collection[str]) -> list[str]:
    """Return names with a module in place of all that is in it: ``heads.age.* (6)``."""
    sizes = Counter(module for name in all_names for module in _ancestors(name))
    found = Counter(module for name in names for module in _ancestors(name))
    whole = [
        next((module for module in _ancestors(name) if found[module] == sizes[module]), None)
        for name in names
    ]
    parts = [module or name for module, name in zip(whole, names, strict=True)]
    return [f"{part}.* ({found[part]})" if part in whole else part for part in dict.fromkeys(parts)]


def _ancestors(name: str) -> Iterator[str]:
    """Yield the modules that a name lies in, the outermost first."""
    steps = name.split(".")
    for count in range(1, len(steps)):
        yield ".".join(steps[:count])


def _x(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape) or "one value"
