"""Typed answers: what a network says about the faces of one photo or one frame of a video."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Box = tuple[float, float, float, float]
RESERVED = ("box", "detection")  # keys of a face beside its tasks


@dataclass(frozen=True)
class TaskAnswer:
    """The answer to one question about one face.

    Attributes:
        label: the most probable class.
        index: its number among the classes, from 0.
        probability: its probability, 0 to 1; calibrated where the checkpoint is.
        probabilities: class name to probability, in the order of the classes; they sum to 1.
        ordinal: whether the order of the classes means something, as for ages.
        expected_years: mean age under the probabilities; None where the classes are no ages.
        sure: False where the probability lies below the threshold that was asked for.
    """

    label: str
    index: int
    probability: float
    probabilities: Mapping[str, float]
    ordinal: bool = False
    expected_years: float | None = None
    sure: bool = True

    def plain(self) -> dict[str, Any]:
        """Return the answer as numbers, texts and dictionaries; ``not_sure`` only where it is."""
        content: dict[str, Any] = {"label": self.label}
        if self.ordinal:
            content["index"] = self.index
        content["probability"] = round(self.probability, 6)
        content["probabilities"] = {
            name: round(value, 6) for name, value in self.probabilities.items()
        }
        if self.expected_years is not None:
            content["expected_years"] = round(self.expected_years, 2)
        if not self.sure:
            content["not_sure"] = True
        return content

    def text(self) -> str:
        """Return the answer in a few words: ``female 0.98``, ``not sure (female 0.55)``."""
        words = f"{self.label} {self.probability:.2f}"
        return words if self.sure else f"not sure ({words})"


@dataclass(frozen=True)
class FaceAnswer:
    """What is said about one face.

    Attributes:
        box: x, y, width and height in pixels of the upright photo.
        detection: how sure the detector is that it is a face, 0 to 1; None where nobody looked:
            boxes of your own, or a photo taken whole.
        answers: task name to answer; ``face["gender"]`` is short for ``face.answers["gender"]``.
    """

    box: Box
    detection: float | None
    answers: Mapping[str, TaskAnswer]

    def __getitem__(self, task: str) -> TaskAnswer:
        return self.answers[task]

    def plain(self) -> dict[str, Any]:
        """Return the face as numbers, texts, lists and dictionaries."""
        return {
            "box": [round(value, 1) + 0.0 for value in self.box],
            "detection": None if self.detection is None else round(self.detection, 4),
            **{name: answer.plain() for name, answer in self.answers.items()},
        }


@dataclass(frozen=True)
class PhotoAnswer:
    """What is said about one photo, or about one frame of a video.

    Attributes:
        path: of the file, as it was found; the address of a download; ``image 3`` of a list.
        error: why the photo could not be read, else None.
        faces: of the photo, the largest first; empty where there is an error.
        no_face: what was done because no face was found, ``whole`` or ``skip``, else None.
        frame: number of the frame in a video, from 0, else None.
        time: seconds from the start of the video, else None.
    """

    path: str
    error: str | None = None
    faces: tuple[FaceAnswer, ...] = field(default=())
    no_face: str | None = None
    frame: int | None = None
    time: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return a line of JSON lines; ``no_face``, ``frame`` and ``time`` only where they are."""
        content: dict[str, Any] = {"path": self.path}
        if self.frame is not None:
            content |= {"frame": self.frame, "time": round(self.time or 0.0, 3)}
        content |= {"error": self.error, "faces": [face.plain() for face in self.faces]}
        if self.no_face is not None:
            content["no_face"] = self.no_face
        return content
