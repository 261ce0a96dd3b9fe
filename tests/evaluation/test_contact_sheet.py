import numpy as np

from facialnet.evaluation.audit.contact_sheet import Section, contact_sheet


def faces(count, channels=1):
    levels = np.arange(40, 40 + count, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, 20, 24, channels))


def greys(sheet):
    return set(np.unique(np.asarray(sheet.convert("L"))).tolist())


def test_every_face_is_on_the_sheet():
    first = Section("first", faces(11), [f"{n} →\ntext" for n in range(11)])
    second = Section("second", faces(2, 3) + 100, ["a", "b"], marked=True)
    sheet = contact_sheet([first, second])
    assert {*range(40, 51), 140, 141} <= greys(sheet)
    assert contact_sheet([first]).height < sheet.height


def test_empty_sections_still_have_their_heading():
    sheet = np.asarray(contact_sheet([Section("nothing", faces(0), [])]))
    assert sheet.min() < 128
    assert contact_sheet([]).size[0] > 0
