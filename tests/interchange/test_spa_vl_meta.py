"""SPA-VL's meta files give its pairs classes, types, rationales, sources and outcomes, and nothing is guessed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.interchange.read_spa_vl_meta import MODELS, MetaFiles
from spavl.pipeline.imports import ImportChoices, import_pairs
from spavl.preferences.pairs import Pair
from tests.interchange.import_files import by_model, meta_folder, published, write_json
from tests.preferences.test_pairs import read_pairs, row

IMAGES = [
    {"image": f"{n}.png", "class1": "domain", "class2": "part", "class3": f"kind {n}", "url": "u"} for n in range(9)
]


def judged(number, **more):
    texts = {name: f"{name[0]}{number}" for name in ("question", "chosen", "rejected")}
    return {"image": f"{number}.png", **texts, "reason1": f"why {number}", "reason2": f"again {number}", **more}


@pytest.fixture
def meta(tmp_path):
    """Questions 0 to 2 easy, 2 and 3 hard, 4 a statement; answers of 0 to 2, with labels."""
    return meta_folder(
        tmp_path / "hub" / "meta_files", images=[*IMAGES[:4], {**IMAGES[4]}, {**IMAGES[4], "class3": "another"}],
        prefer={"easy": [judged(0), judged(1), judged(2, chosen="x")],
                "hardq": [judged(2, rejected="y"), judged(3)], "hards": [judged(4)]},
        answers=[by_model("0.png", "q0", Otter="c0", gemini="r0"), by_model("1.png", "q1", LAMM="c1", QwenVL="c1"),
                 by_model("2.png", "q2", LLaVA1_5="c2", mPLUG_Owl="c2", InstructBLIP="r2")],
        safety=[by_model("0.png", "q0", Otter="safe", gemini="UNSAFE"),
                by_model("1.png", "q1", LAMM="safe", QwenVL="safe"),
                by_model("2.png", "q2", LLaVA1_5="safe", mPLUG_Owl="unsafe", InstructBLIP="1")],
    )  # fmt: skip


def test_a_published_train_split_gets_back_what_it_lacks(tmp_path, meta):
    source = published(tmp_path / "hub", [row(n) for n in range(6)])
    found = import_pairs(str(source), tmp_path / "out")
    about = {pair.question: pair.about for pair in read_pairs(tmp_path / "out")}
    assert about["q0"] == {
        "image_name": "0.png", "class1": "domain", "class2": "part", "class3": "kind 0",
        "question_type": "easy_question", "reason_ab": "why 0", "reason_ba": "again 0",
        "chosen_source": "Otter", "rejected_source": "gemini", "chosen_outcome": "safe", "rejected_outcome": "unsafe",
        "chosen_safe": True, "rejected_safe": False,
    }  # fmt: skip
    both = about["q1"]
    assert "chosen_source" not in both and both["chosen_outcome"] == "safe"  # two models, one label
    unclear = about["q2"]
    assert not {"question_type", "reason_ab", "chosen_source", "chosen_outcome", "rejected_outcome"} & set(unclear)
    assert unclear["rejected_source"] == "InstructBLIP"
    assert (about["q3"]["question_type"], about["q3"]["class3"]) == ("hard_question", "kind 3")
    assert about["q4"]["question_type"] == "hard_statement" and "class3" not in about["q4"]
    assert about["q5"] == {"image_name": "5.png"}
    assert found.joined.pairs == 6 and found.joined.found == {
        "class": 4, "question type": 4, "rationales": 4, "chosen source": 1, "rejected source": 2,
        "chosen outcome": 2, "rejected outcome": 1,
    }  # fmt: skip
    assert found.joined.empty == {
        "class: two entries of the picture differ": 1, "class: no entry of the picture": 1,
        "question type: the question is in several files": 1, "question type: no file has the question": 1,
        "chosen source: several models gave this answer": 2, "chosen source: no model gave this answer": 3,
        "rejected source: no model gave this answer": 4,
        "labels of safety that are neither safe nor unsafe": 30,
    }  # fmt: skip


def test_the_pair_itself_decides_where_its_question_stands_in_two_types(tmp_path):
    folder = meta_folder(tmp_path / "m", images=IMAGES, answers=[], safety=[],
                         prefer={"easy": [judged(0)], "hardq": [judged(0, chosen="other", reason1="no")]})  # fmt: skip
    source = published(tmp_path / "hub", [row(0)])
    import_pairs(str(source), tmp_path / "out", ImportChoices(meta=folder))
    (pair,) = read_pairs(tmp_path / "out")
    assert (pair.about["question_type"], pair.about["reason_ab"]) == ("easy_question", "why 0")


def test_the_authors_json_is_joined_by_the_name_of_its_picture(tmp_path, meta):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(row(0)["image"]["bytes"])
    source = write_json(tmp_path / "easy.json", [judged(0, image="class1/class2/0.png")])
    import_pairs(str(source), tmp_path / "out", ImportChoices(meta=meta, images=tmp_path / "pictures"))
    (pair,) = read_pairs(tmp_path / "out")
    assert (pair.about["class3"], pair.about["chosen_source"], pair.about["reason_ab"]) == ("kind 0", "Otter", "why 0")
    assert pair.about["image_name"] == "0.png"


def test_some_of_the_meta_files_are_enough_and_the_others_count_as_nothing(tmp_path):
    write_json(tmp_path / "m" / "image_info" / "meta.json", IMAGES)
    found = import_pairs(
        str(published(tmp_path / "hub", [row(0)])), tmp_path / "out", ImportChoices(meta=tmp_path / "m")
    )
    assert (dict(found.joined.found), dict(found.joined.empty)) == ({"class": 1}, {})
    assert not list((tmp_path / "out").glob("*.sqlite"))


@pytest.mark.parametrize("rows", [[{"question": "q"}], [{"image": 7, "question": "q"}], {"image": "a"}])
def test_meta_files_of_another_structure_are_a_sentence_with_their_place(rows, tmp_path):
    write_json(tmp_path / "m" / "prefer" / "easy.json", rows)
    with pytest.raises(DataError, match="has no text"):
        import_pairs(str(published(tmp_path / "hub", [row(0)])), tmp_path / "out", ImportChoices(meta=tmp_path / "m"))
    assert not (tmp_path / "out").exists()


def test_a_pair_without_the_name_of_its_picture_is_counted(tmp_path, meta):
    files = MetaFiles(meta, tmp_path / "x.sqlite")
    (pair,) = files.join([Pair("p", (), "q0", "c0", "r0")])
    files.close()
    assert not pair.about
    assert files.joined().empty["pairs without `image_name`, which nothing can be found by"] == 1


ANSWERS = st.lists(st.sampled_from(("one", "two", "three")), min_size=len(MODELS), max_size=len(MODELS))


@given(said=ANSWERS, labels=st.lists(st.sampled_from(("safe", "unsafe")), min_size=12, max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_source_and_an_outcome_are_those_of_every_model_that_gave_the_answer(said, labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("m")
    asked = {"image": "a.png", "question": "q"}
    write_json(folder / "model_answer" / "easy.json", [{**asked, **dict(zip(MODELS, said, strict=True))}])
    write_json(folder / "safety" / "easy.json", [{**asked, **dict(zip(MODELS, labels, strict=True))}])
    files = MetaFiles(folder, folder / "x.sqlite")
    (pair,) = files.join([Pair("p", (), "q", "one", "four", about={"image_name": "a.png"})])
    files.close()
    models = [model for model, answer in zip(MODELS, said, strict=True) if answer == "one"]
    verdicts = {label for label, answer in zip(labels, said, strict=True) if answer == "one"}
    assert pair.about.get("chosen_source") == (models[0] if len(models) == 1 else None)
    assert pair.about.get("chosen_outcome") == (verdicts.pop() if len(verdicts) == 1 else None)
    assert "rejected_source" not in pair.about
