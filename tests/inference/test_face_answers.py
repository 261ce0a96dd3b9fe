import json

from facialnet.inference.answers import FaceAnswer, PhotoAnswer, TaskAnswer
from facialnet.labels import AGE_GROUPS, GENDERS, middle_ages

GENDER = TaskAnswer("female", 1, 0.75, {"male": 0.25, "female": 0.75})
AGE = TaskAnswer("60+", 1, 0.6, {"0-2": 0.4, "60+": 0.6}, True, 42.4)


def test_the_line_of_json_has_the_keys_that_were_promised():
    photo = PhotoAnswer(
        "a.jpg", faces=(FaceAnswer((1, 2, 3, 4), 0.9, {"gender": GENDER, "age": AGE}),)
    )
    assert json.loads(json.dumps(photo.plain())) == {
        "path": "a.jpg",
        "error": None,
        "faces": [
            {
                "box": [1, 2, 3, 4],
                "detection": 0.9,
                "gender": {
                    "label": "female",
                    "probability": 0.75,
                    "probabilities": {"male": 0.25, "female": 0.75},
                },
                "age": {
                    "label": "60+",
                    "index": 1,
                    "probability": 0.6,
                    "probabilities": {"0-2": 0.4, "60+": 0.6},
                    "expected_years": 42.4,
                },
            }
        ],
    }


def test_further_keys_are_there_only_where_they_say_something():
    assert PhotoAnswer("a", error="empty file").plain() == {
        "path": "a",
        "error": "empty file",
        "faces": [],
    }
    frame = PhotoAnswer("a.mp4", no_face="skip", frame=3, time=0.12).plain()
    assert frame == {
        **{"path": "a.mp4", "frame": 3, "time": 0.12, "error": None, "faces": []},
        "no_face": "skip",
    }


def test_age_groups_stand_for_their_middles():
    assert middle_ages(AGE_GROUPS) == (1, 5, 10.5, 17.5, 28.5, 40.5, 50.5, 70)
    assert middle_ages(("0-9", "10+")) == (4.5, 20)
    assert middle_ages(("7", "8")) == (7, 8)
    assert middle_ages(GENDERS) is None
    assert middle_ages(("0-2", "old")) is None


def test_words():
    assert GENDER.text() == "female 0.75"
    assert TaskAnswer("male", 0, 0.51, {}, sure=False).text() == "not sure (male 0.51)"
