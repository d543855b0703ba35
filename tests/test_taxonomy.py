"""The taxonomy of harms: the paper's by count and by label, and a user's own."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spavl.cli.commands import app
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
    assert "D / C / two; F / G / two" in error.value.what
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
        ("", "a mapping with one tree"),
        ("- one\n- two", "a mapping with one tree"),
        ("42", "a mapping with one tree"),
        ("version: 1", "exactly one of `domains`, `categories` and `subcategories`, and here is none"),
        ("subcategories: ", "here is none"),
        ("subcategories: [a]\ncategories: {b: [c]}", "here are `categories` and `subcategories`"),
        ("subcategories: [a]\nversion: 2", "`version` is 2: should be 1"),
        ("subcategories: []", "`subcategories` is empty"),
        ("categories: {}", "`categories` is empty"),
        ("categories: {C: {D: [one]}}", "`categories / C` is {'D': ['one']}: should be a list"),
        ("categories: {'': [one]}", "has no letters"),
        ("categories: {2024: [one]}", "`categories / 2024` is 2024: should be text"),
        ("domain: {D: {C: [one]}}", "no field `domain`; did you mean `domains`?"),
        ("domains: [one]", "`domains` is ['one']: should be a mapping"),
        ("domains: {}", "`domains` is empty"),
        ("domains: {D: {}}", "`domains / D` is empty"),
        ("domains: {D: {C: []}}", "`domains / D / C` is empty"),
        ("domains: {D: [one]}", "`domains / D` is ['one']: should be a mapping"),
        ("domains: {D: }", "`domains / D` has no value"),
        ("domains: {D: {C: one}}", "`domains / D / C` is 'one': should be a list"),
        ("domains: {D: {C: {one: 1}}}", "`domains / D / C` is {'one': 1}: should be a list"),
        ("domains: {D: {C: [1]}}", "`domains / D / C / number 1` is 1: should be a name"),
        ("domains: {D: {C: [no]}}", "`domains / D / C / number 1` is False: should be a name"),
        ("domains: {D: {C: ['']}}", "has no letters"),
        ("domains: {D: {C: [_]}}", "has no letters"),
        ("subcategories: [{description: text}]", "`subcategories / number 1` has no `name`"),
        (
            "subcategories: [{name: a, keyword: [b]}]",
            "`subcategories / a` has no field `keyword`; did you mean `keywords`",
        ),
        ("subcategories: [{name: a, keywords: b}]", "`subcategories / a / keywords` is 'b': should be a list of texts"),
        (
            "subcategories: [{name: a, keywords: [b, 2]}]",
            "`subcategories / a / keywords / number 2` is 2: should be text",
        ),
        ("subcategories: [{name: a, keywords: [b, B]}]", "`a` has the keyword `b` twice"),
        ("subcategories: [{name: a, aliases: [B]}, b]", "`B`, an alias of `a`, can also mean the subcategory `b`"),
        ("subcategories: [{name: a, aliases: [c]}, {name: b, aliases: [C]}]", "`C`, an alias of `b`, can also mean"),
        ("subcategories: [{name: a b, aliases: [ab]}, ab]", "`ab`, an alias of `a b`, can also mean"),
        ("categories: {C: [{name: a, aliases: [c]}]}", "`c`, an alias of `a`, can also mean the category `C`"),
        ("subcategories: [a, b]\ndisplay: {a: B}", "`B`, an alias of `a`, can also mean"),
        ("subcategories: [weapon]\ndisplay: {waepon: x}", "no name of the tree; did you mean `weapon`?"),
        ("domains: {D: {C: [' one']}}", "` one` cannot name"),
        ("domains: {D: {C: ['one ']}}", "`one ` cannot name"),
        ("domains: {D: {C: [..]}}", "`..` cannot name"),
        ("domains: {D: {C: [../../etc]}}", "`../../etc` cannot name"),
        ("domains: {D: {C: [a/b]}}", "`a/b` cannot name"),
        ('domains: {D: {C: ["a\\0b"]}}', "cannot name"),
        (f"{GOOD}\ndisplay: [a]", "`display` is ['a']: should be a mapping"),
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


@pytest.mark.parametrize(("error", "nearest"), [("Wepon", "weapon"), ("cyberr", "cyber"), ("gosip", "gossip")])
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


# --- descriptions, keywords, aliases ----------------------------------------------------------------------------------


def test_every_subcategory_has_one_sentence_and_six_keywords_of_its_own() -> None:
    taxonomy = load_taxonomy()
    keywords = [taxonomy.keywords(t.class3) for t in taxonomy.topics]
    assert {len(six) for six in keywords} == {6}
    assert len({word.casefold() for six in keywords for word in six}) == 318
    for topic in taxonomy.topics:
        assert re.fullmatch(r"[A-Z][^.]+\.", taxonomy.describe(topic.class3)), topic
    assert len({taxonomy.describe(t.class3) for t in taxonomy.topics}) == 53


@pytest.mark.parametrize(
    ("alias", "meant"),
    [
        ("disability discrimination", "disablity discrimination"), ("Scams", "scamns"), ("Weapons", "weapon"),
        ("payday-lending", "paypal lending"), ("Payday Loans", "paypal lending"), ("mlm", "multi-level marketing"),
        ("traffic_and_driving_offences", "traffic and driving offenses"), ("hate speech", "hate"),
    ],
)  # fmt: skip
def test_a_common_spelling_names_its_subcategory(alias: str, meant: str) -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.topic(alias).class3 == meant
    assert taxonomy.keywords(alias) == taxonomy.keywords(meant)
    assert taxonomy.describe(alias) == taxonomy.describe(meant)


@cache
def spellings() -> list[tuple[str, str]]:
    """(spelling, subcategory) of every name, alias and readable form."""
    taxonomy = load_taxonomy()
    return [
        (spelling, t.class3)
        for t in taxonomy.topics
        for spelling in (t.class3, taxonomy.display(t.class3), *taxonomy.aliases(t.class3))
    ]


@given(st.data())
def test_every_spelling_finds_its_topic_however_it_is_cased_and_parted(data: st.DataObject) -> None:
    spelling, meant = data.draw(st.sampled_from(spellings()))
    parted = "".join(
        data.draw(st.sampled_from(["", " ", "-", "_", "  "])) if c in " -" else c for c in spelling
    )  # fmt: skip
    cased = "".join(c.upper() if data.draw(st.booleans()) else c.lower() for c in parted)
    wide = data.draw(st.booleans())
    written = "".join(chr(ord(c) + 0xFEE0) if wide and "!" <= c <= "~" else c for c in cased)
    found = load_taxonomy().find(written)
    assert found is not None and found.class3 == meant


WORDS = st.lists(st.sampled_from(["a", "b", "A b", "a-b", "c", "C", "d_e", "de"]), max_size=3)


@given(st.dictionaries(st.sampled_from(["a", "b", "ab", "c", "de", "f"]), WORDS, min_size=1))
def test_an_alias_of_a_file_that_is_accepted_never_means_two(tree: dict[str, list[str]]) -> None:
    leaves = [{"name": name, "aliases": aliases} for name, aliases in tree.items()]
    with TemporaryDirectory() as folder:
        path = written(Path(folder), yaml.safe_dump({"categories": {"top": leaves}}))
        try:
            taxonomy = load_taxonomy(path)
        except DataError as error:
            assert "can also mean" in error.what
            return
    for name, aliases in tree.items():
        assert {taxonomy.topic(spelling).class3 for spelling in (name, *aliases)} == {name}


# --- one, two and three levels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "levels", "above"),
    [
        ("subcategories: [one, {name: two, keywords: [a cup], description: D., aliases: [zwei]}]", 1, ("", "")),
        ("categories: {C: [one, {name: two, keywords: [a cup], description: D., aliases: [zwei]}]}", 2, ("", "C")),
        ("domains: {D: {C: [one, {name: two, keywords: [a cup], description: D., aliases: [zwei]}]}}", 3, ("D", "C")),
    ],
)  # fmt: skip
def test_a_tree_has_one_to_three_levels(text: str, levels: int, above: tuple[str, str], tmp_path: Path) -> None:
    taxonomy = load_taxonomy(written(tmp_path, text))
    assert taxonomy.levels == levels
    assert [(t.class1, t.class2, t.class3) for t in taxonomy.topics] == [(*above, "one"), (*above, "two")]
    assert taxonomy.topics[0].path() == " / ".join([*filter(None, above), "one"])
    assert (taxonomy.describe("one"), taxonomy.keywords("one"), taxonomy.aliases("one")) == ("", (), ())
    assert (taxonomy.describe("Zwei"), taxonomy.keywords("two")) == ("D.", ("a cup",))
    assert taxonomy.near("zwie") == "did you mean `zwei`?"


def test_all_mistakes_of_a_file_are_listed_with_their_places(tmp_path: Path) -> None:
    text = "domains: {D: {C: [{name: one, keyword: [x]}, {nam: two}], E: {}}, F: [x]}\nversion: 3"
    with pytest.raises(DataError) as error:
        load_taxonomy(written(tmp_path, text))
    lines = error.value.what.splitlines()
    assert len(lines) == 6
    for part in ("D / C / one` has no field `keyword`", "number 2` has no `name`", "did you mean `name`",
                 "`domains / D / E` is {}", "`domains / F` is ['x']", "`version` is 3"):  # fmt: skip
        assert any(part in line for line in lines), part


def test_the_tree_is_printed_with_what_is_known_of_every_name(tmp_path: Path) -> None:
    path = written(tmp_path, "categories: {C: [one, {name: two, keywords: [a cup], description: D., aliases: [zwei]}]}")
    done = CliRunner().invoke(app, ["taxonomy", str(path)])
    assert (
        done.output
        == "C\n  one\n  two\n    D.\n    keywords: a cup\n    aliases: zwei\n\n1 category, 2 subcategories.\n"
    )
    found = json.loads(CliRunner().invoke(app, ["taxonomy", "--json"]).output)
    assert len(found) == 53
    assert found[0]["class3"] == "bully" and len(found[0]["keywords"]) == 6
    assert "6 domains, 15 categories, 53 subcategories." in CliRunner().invoke(app, ["taxonomy"]).output


def test_the_examples_of_the_guide_are_valid(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "taxonomy.md").read_text("utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert [load_taxonomy(written(tmp_path, text)).levels for text in examples] == [1, 2, 3]
