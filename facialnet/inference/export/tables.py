"""What an export found, as tables for the terminal."""

from typing import Any

from rich.table import Table

_BUSY = 0.5  # load a core beyond which timings are hardly this machine's best


def parity_table(summary: dict[str, Any]) -> Table:
    """Return a row for each format and task: how far from PyTorch, and how right."""
    table = Table(title="against PyTorch", title_justify="left")
    table.add_column("format")
    table.add_column("MB", justify="right")
    table.add_column("task")
    for name in ("largest difference", "same answer", "accuracy", "PyTorch's"):
        table.add_column(name, justify="right")
    for name, facts in summary["files"].items():
        first = (name, f"{facts['bytes'] / 1e6:.1f}")
        for task in summary["metadata"]["tasks"]:
            batches = [tasks[task] for tasks in facts["parity"].values()]
            worst = min(batches, key=lambda found: found["agreement"])
            table.add_row(
                *first,
                task,
                " / ".join(f"{found['largest']:.1e}" for found in batches),
                f"{worst['agreement']:.2%}",
                _share(worst.get("accuracy")),
                _share(worst.get("accuracy_pytorch")),
            )
            first = ("", "")
    table.caption = f"at batch {' / '.join(next(iter(summary['files'].values()))['parity'])}"
    return table


def _share(value: float | None) -> str:
    return "no labels" if value is None else f"{value:.4f}"


def latency_table(latency: dict[str, Any]) -> Table:
    """Return a row for each number of threads and batch: milliseconds, and the ratio."""
    table = Table(title="ms a face, and how many times as fast as PyTorch", title_justify="left")
    table.add_column("threads")
    table.add_column("batch", justify="right")
    names = next(iter(next(iter(latency["threads"].values())).values()))
    for name in names:
        table.add_column(name, justify="right")
    for threads, batches in latency["threads"].items():
        for batch, found in batches.items():
            cells = [f"{each['ms']:.2f} ({each['ratio']:.2f})" for each in found.values()]
            table.add_row(threads, batch, *cells)
    if latency["load"] is not None and latency["load"] > _BUSY * latency["cores"]:
        table.caption = "the machine was busy: compare within a row alone"
    return table
