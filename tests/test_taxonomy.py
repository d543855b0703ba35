"""The taxonomy of harms: the paper's by count and by label, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from spavl.errors import DataError
from spavl.records import Topic
from spavl.taxonomy import load_taxonomy

GOOD = "domains: {D: {C: [one, two], E: [three]}}"


def written(folder: Path, text: str) -> Path:
    """A taxonomy file."""
    path = folder / "taxonomy.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_papers_tree_has_6_domains_15_categories_and_53_subcategories() -> None:
    topics = load_taxonomy().topics
    assert len({t.class1 for t in topics}) == 6
    assert len({(t.class1, t.class2) for t in topics}) == 15
    assert len({t.class3 for t in topics}) == len(topics) == 53


def test_labels_are_spelled_as_in_the_published_data_and_shown_readably() -> None:
    taxonomy = load_taxonomy()
    topic = taxonomy.topic("disablity discrimination")
    assert topic == Topic(class1="Representation & ToxicityHarms", class2="Unfair", class3="disablity discrimination")
    assert taxonomy.display(topic.class3) == "disability discrimination"
    assert taxonomy.display(topic.class1) == "Representation & Toxicity Harms"
    assert taxonomy.display("weapon") == "weapon"


def test_every_readable_form_belongs_to_a_label() -> None:
    taxonomy = load_taxonomy()
    labels = {name for t in taxonomy.topics for name in (t.class1, t.class2, t.class3)}
    text = (Path(__file__).parents[1] / "spavl" / "data" / "taxonomy.yaml").read_text("utf-8")
    assert set(yaml.safe_load(text)["display"]) <= labels


def test_a_taxonomy_of_ones_own_is_read_in_its_order(tmp_path: Path) -> None:
    taxonomy = load_taxonomy(written(tmp_path, GOOD))
    assert [(t.class1, t.class2, t.class3) for t in taxonomy.topics] == [
        ("D", "C", "one"),
        ("D", "C", "two"),
        ("D", "E", "three"),
    ]
    assert "one" in taxonomy
    assert "weapon" not in taxonomy


def test_a_subcategory_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    path = written(tmp_path, "domains: {D: {C: [one, two]}, F: {G: [two]}}")
    with pytest.raises(DataError) as error:
        load_taxonomy(path)
    assert "`two` stands 2 times" in error.value.what
    assert "D / C; F / G" in error.value.what
    assert error.value.where == str(path)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("domains:\n  D:\n    C: [one]\n    C: [two]\n", ("`C`", "line 3", "line 4")),
        ("domains:\n  D: {C: [one]}\n  D: {E: [two]}\n", ("`D`", "line 2", "line 3")),
    ],
)
def test_a_category_or_domain_twice_is_refused_and_loses_nothing_silently(
    text: str, lines: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        load_taxonomy(written(tmp_path, text))
    assert all(part in error.value.what for part in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no `domains`"),
        ("- one\n- two", "no `domains`"),
        ("42", "no `domains`"),
        ("categories: {}", "no `domains`"),
        ("domains: [one]", "no `domains`"),
        ("domains: {}", "empty"),
        ("domains: {D: {}}", "empty"),
        ("domains: {D: {C: []}}", "empty"),
        ("domains: {D: [one]}", "Domain `D` holds no categories"),
        ("domains: {D: }", "Domain `D` holds no categories"),
        ("domains: {D: {C: one}}", "Category `C` is not a list"),
        ("domains: {D: {C: {one: 1}}}", "Category `C` is not a list"),
        ("domains: {D: {C: [1]}}", "Category `C` is not a list"),
        ("domains: {D: {C: [no]}}", "Category `C` is not a list"),
        ("domains: {D: {C: ['']}}", "`` cannot name a subcategory"),
        ("domains: {D: {C: [' one']}}", "` one` cannot name"),
        ("domains: {D: {C: ['one ']}}", "`one ` cannot name"),
        ("domains: {D: {C: [..]}}", "`..` cannot name"),
        ("domains: {D: {C: [../../etc]}}", "`../../etc` cannot name"),
        ("domains: {D: {C: [a/b]}}", "`a/b` cannot name"),
        ('domains: {D: {C: ["a\\0b"]}}', "cannot name"),
        (f"{GOOD}\ndisplay: [a]", "`display` is no mapping"),
        ("domains: {D: {C: [one}", "cannot be read"),
        ("domains: 2024-13-45", "cannot be read"),
    ],
)
def test_what_is_no_taxonomy_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as error:
        load_taxonomy(path)
    assert message in error.value.what
    assert error.value.where == str(path)
    assert "\n" not in error.value.what


def test_a_missing_file_and_one_of_other_bytes_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_taxonomy(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        load_taxonomy(tmp_path / "bytes.yaml")


@pytest.mark.parametrize(("error", "nearest"), [("weapons", "weapon"), ("Wepon", "weapon"), ("cyberr", "cyber")])
def test_an_unknown_subcategory_gets_the_nearest_names(error: str, nearest: str) -> None:
    with pytest.raises(DataError) as found:
        load_taxonomy().topic(error)
    assert f"did you mean `{nearest}`" in found.value.try_


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Weapon", "weapon"), ("drug_related-CRIMES", "drug-related crimes"),
        ("drug related crimes", "drug-related crimes"), ("DrugRelatedCrimes", "drug-related crimes"),
        (" cyber ", "cyber"),
    ],
)  # fmt: skip
def test_case_blanks_hyphens_and_underscores_are_forgiven(written: str, meant: str) -> None:
    assert load_taxonomy().topic(written).class3 == meant
    assert written in load_taxonomy()


def test_nothing_is_forgiven_where_two_subcategories_can_be_meant(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("domains: {d: {c: [cup board, cupboard, other]}}")
    taxonomy = load_taxonomy(tmp_path / "own.yaml")
    assert [taxonomy.topic(name).class3 for name in ("cup board", "cupboard", "OTHER")] == [
        "cup board", "cupboard", "other"
    ]  # fmt: skip
    assert taxonomy.find("Cup-Board") is None


def test_an_unknown_subcategory_like_no_other_gets_all_names() -> None:
    with pytest.raises(DataError) as error:
        load_taxonomy().topic("zzzz")
    assert all(t.class3 in error.value.try_ for t in load_taxonomy().topics)
