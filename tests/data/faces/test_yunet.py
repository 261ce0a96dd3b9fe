import cv2
import numpy as np
import pytest

from facialnet.data.faces.yunet import YuNet
from facialnet.errors import UserError


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"detector\.model=.*none\.onnx: there is no such file"):
        YuNet(model=tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x06" * 100])
def test_a_file_that_is_no_network_is_refused(tmp_path, content):
    (tmp_path / "wrong.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"wrong\.onnx: OpenCV .* cannot read it"):
        YuNet(model=tmp_path / "wrong.onnx")


class FakeDetector:
    """Answers as FaceDetectorYN does, one row for each face of a 100 x 50 input."""

    def setInputSize(self, size):  # OpenCV's name
        self.size = size

    def detect(self, image):
        assert image.shape == (self.size[1], self.size[0], 3)
        if not image.any():
            return 1, None
        assert (image[0, 0] == (3, 2, 1)).all()  # blue comes first
        small = [10, 12, 4, 5, *range(10), 0.8]
        large = [20, 22, 8, 9, *range(10, 20), 1.0001]
        return 1, np.array([small, large], np.float32)


def test_rows_become_faces_in_pixels_of_the_picture(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: FakeDetector())
    level = cv2.utils.logging.getLogLevel()
    detector = YuNet(model=tmp_path / "model.onnx", longest=200, smallest=32)
    assert cv2.utils.logging.getLogLevel() == level
    image = np.empty((100, 400, 3), np.uint8)
    image[:] = (1, 2, 3)
    found, nothing = detector([image, np.zeros((60, 60), np.uint8)])
    assert nothing == []
    assert [face.box for face in found] == [(40, 44, 16, 18), (20, 24, 8, 10)]
    assert found[0].score == 1
    np.testing.assert_array_equal(found[0].points, 2 * np.arange(10, 20).reshape(5, 2))
