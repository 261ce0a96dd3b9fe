"""Which of a picture's faces is meant."""

from collections.abc import Sequence

from facialnet.data.faces.face import Face

# What a squared pixel of distance from the centre counts against one of area, as facenet's
# align_dataset_mtcnn.py (David Sandberg, 2016) chooses the face of a labelled photo.
_CENTRING = 2.0


def largest(faces: Sequence[Face]) -> Face | None:
    """Return the face with the largest box, None where there is no face."""
    return max(faces, key=lambda face: face.area, default=None)


def most_central(faces: Sequence[Face], shape: tuple[int, ...]) -> Face | None:
    """Return the face whose box is centred nearest the picture's centre, None without a face.

    Args:
        faces: the picture's faces.
        shape: the picture's, height first.
    """
    return min(faces, key=lambda face: _off_centre(face, shape), default=None)


def main_face(faces: Sequence[Face], shape: tuple[int, ...]) -> Face | None:
    """Return the face that a photo of one person is about: large, and near the centre.

    People in the background are smaller, and faces at the border seldom the ones that a label is
    for. Arguments as for most_central.
    """
    return max(
        faces, key=lambda face: face.area - _CENTRING * _off_centre(face, shape), default=None
    )


def _off_centre(face: Face, shape: tuple[int, ...]) -> float:
    """Return the squared distance of the box's centre from the picture's, in pixels."""
    x, y, width, height = face.box
    return (x + width / 2 - shape[1] / 2) ** 2 + (y + height / 2 - shape[0] / 2) ** 2
