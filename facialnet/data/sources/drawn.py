"""Drawn faces in Adience's layout: a data set that needs no download and no permission."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from facialnet.data.drawn.tree import MARKER, SIDE, settings_of, write_tree
from facialnet.data.manifest import Reading
from facialnet.data.sources.adience import AdienceSource
from facialnet.errors import UserError

LICENCE = "drawn by facialnet, MIT"


@dataclass(frozen=True, kw_only=True)
class DrawnSource:
    """An Adience tree of drawn faces, drawn when it is first read.

    Attributes:
        root: folder of the tree.
        images: distinct pictures in its lists.
        seed: the same seed gives the same files.
        label_policy: one of labels.POLICIES.
        lists: ``full``, or ``frontal`` for the nearly frontal faces alone.
    """

    root: str
    images: int = 2000
    seed: int = 0
    label_policy: str = "exact"
    lists: str = "full"

    def read(self) -> Reading:
        """Draw the tree unless it is there, then read it as Adience.

        Raises UserError if root holds a tree with other settings or something else.
        """
        root = Path(self.root).expanduser().absolute()
        if root.exists() and any(root.iterdir()):
            self._check_settings(root)
        else:
            self._draw(root)
        source = AdienceSource(
            root=self.root, label_policy=self.label_policy, lists=self.lists, name="drawn"
        )
        return dataclasses.replace(source.read(), licence=LICENCE)

    def _check_settings(self, root: Path) -> None:
        try:
            drawn = json.loads((root / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(
                f"{root} holds something other than drawn faces; choose another data.root"
            ) from None
        if drawn != settings_of(images=self.images, seed=self.seed, side=SIDE):
            settings = ", ".join(f"{name}={value}" for name, value in drawn.items())
            raise UserError(
                f"{root} was drawn with {settings}; delete it or choose another data.root"
            )

    def _draw(self, root: Path) -> None:
        others = os.environ.get("LOCAL_RANK", "0") != "0"
        with Progress(transient=True, disable=others) as bar:
            task = bar.add_task("drawing faces", total=self.images)
            write_tree(
                root,
                images=self.images,
                seed=self.seed,
                progress=lambda done, _: bar.update(task, completed=done),
            )
