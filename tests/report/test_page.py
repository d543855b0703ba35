"""The report page: self-contained, escaped, complete, the same for the same data."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from spavl.errors import RunError
from spavl.report import ReportData, write_report
from spavl.report.data import AnswerShown, Example, ModelShown
from spavl.report.page import render
from spavl.report.pictures import inline
from spavl.statistics import rate
from tests.report.sample import METRICS, sample

VOID = {"meta", "link", "img", "br", "input"}


class Tree(HTMLParser):
    """Checks that tags are balanced, and collects tags, ids and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.hidden: list[str] = []
        self.shown: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        inside = [tag for tag, _ in self.open]
        closed = "details" in inside and "summary" not in inside
        (self.hidden if closed else self.shown).append(data)


def parsed(page: str) -> Tree:
    tree = Tree()
    tree.feed(page)
    tree.close()
    assert tree.open == []
    return tree


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> ReportData:
    return sample(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def page(data) -> str:
    return render(data)


def test_the_page_needs_nothing_from_outside(page):
    tree = parsed(page)
    assert not [tag for tag, _ in tree.tags if tag in ("script", "link", "iframe", "object", "embed")]
    for _tag, found in tree.tags:
        for name in ("src", "href", "xlink:href"):
            target = found.get(name)
            assert target is None or target.startswith(("data:image/png;base64,", "#")), target
        assert not any(name.startswith("on") for name in found)
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_every_anchor_leads_somewhere_and_ids_are_unique(page):
    tree = parsed(page)
    ids = [found["id"] for _tag, found in tree.tags if "id" in found]
    assert len(ids) == len(set(ids)), "figures must not share ids"
    for _tag, found in tree.tags:
        if (found.get("href") or "").startswith("#"):
            assert found["href"][1:] in ids
    for used in re.findall(r"url\(#([^)]+)\)", page):
        assert used in ids


def test_pictures_and_figures_have_alternative_texts_and_tables_have_headers(page):
    tree = parsed(page)
    assert all(found.get("alt") for tag, found in tree.tags if tag == "img")
    figures = [found for tag, found in tree.tags if tag == "svg"]
    assert len(figures) == 1 + 6 + 2 + 2 + 3, "axes, metrics, trade-offs, dataset, curves"
    assert all(found["role"] == "img" and found["aria-label"] for found in figures)
    assert all(found.get("scope") in ("col", "row", "colgroup") for tag, found in tree.tags if tag == "th")
    assert tree.tags[0] == ("html", {"lang": "en"})


def test_figures_take_their_colours_from_the_page(page):
    inside = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert "var(--base)" in inside and "var(--aligned-1)" in inside
    assert not re.search(r"#0000\d\d", inside)
    assert "<style" not in inside and "DejaVu" not in inside


def test_the_same_data_give_the_same_page(data, page):
    assert render(data) == page


def test_headline_numbers_and_funnel_are_on_the_page(page):
    shown = "".join(parsed(page).shown).replace("\u202f", " ").replace("\u00a0", " ")
    assert "Unsafe answers fell from 47.3 % to 0.4 %." in shown
    assert "fixed 225, broke 0, p < 0.001" in shown
    assert "19,080" in shown and "orders disagree" in shown
    assert "new kinds under cues" in shown


def test_subjects_are_listed_worst_first(page):
    rows = re.findall(r'<tr><th scope="row">([a-z ]+?)(?: <small>held out</small>)?</th>\s*<td>(\d+ of 10)', page)
    assert rows[0] == ("racial", "5 of 10"), "the only one where DPO still fails"
    assert len(rows) == 8


def test_harmful_text_is_hidden_until_clicked(data, page):
    tree = parsed(page)
    answer = data.examples[0].answers[0].text
    assert answer in "".join(tree.hidden) and answer not in "".join(tree.shown)
    assert "I cannot help with this" in "".join(tree.shown)
    opened = parsed(render(replace(data, hide_harmful=False)))
    assert answer in "".join(opened.shown)


def test_an_answer_that_could_not_be_graded_is_hidden_too(data):
    example = Example(
        question="?", answers=(AnswerShown(model="Base", text="UNGRADED", good=None, grade="", closed=True),)
    )
    tree = parsed(render(replace(data, examples=(example,))))
    assert "UNGRADED" in "".join(tree.hidden) and "UNGRADED" not in "".join(tree.shown)


HOSTILE = (
    """</blockquote></details></style><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}{% raw %}&amp;"""
)


def test_markup_in_what_a_model_says_stays_text(data):
    example = Example(
        question=HOSTILE,
        topic=HOSTILE,
        answers=(AnswerShown(model=HOSTILE, text=HOSTILE, good=False, grade="unsafe", closed=True),),
    )
    model = replace(data.models[1], label=HOSTILE, name=HOSTILE)
    hostile = replace(
        data,
        title=HOSTILE,
        subject=HOSTILE,
        settings=HOSTILE,
        limits=(HOSTILE,),
        facts={HOSTILE: HOSTILE},
        examples=(example,),
        models=(data.models[0], model),
        responders=(replace(data.responders[0], name=HOSTILE + "$\\frac{1$"),),
        funnel=(replace(data.funnel[0], losses={HOSTILE: 1}),),
    )
    tree = parsed(render(hostile))
    assert not [tag for tag, _ in tree.tags if tag == "script"]
    assert not any("onerror" in found for _tag, found in tree.tags)
    assert HOSTILE in "".join(tree.hidden)
    assert "49" not in "".join(tree.shown).split("alert(2)")[1][:20]


def test_control_characters_and_formulas_in_any_name_are_spelt_out(data):
    """Names of models, subjects, responders, stages and metrics come from files and servers."""
    bad = "\x1b[31m\u202e$\\frac{$"
    model = replace(data.models[1], label=bad, what=bad)
    shown = replace(
        data, title=bad, subject=bad, models=(data.models[0], model), metrics=tuple(replace(m, label=f"{m.label}{bad}")
        for m in data.metrics), groups=tuple(replace(g, label=bad) for g in data.groups),
        responders=tuple(replace(r, name=bad) for r in data.responders),
        stages=tuple(replace(s, name=bad) for s in data.stages), facts={bad: bad}, settings=bad, heldout=(bad,),
        composition=tuple(replace(b, label=bad) for b in data.composition), limits=(bad,),
        examples=tuple(replace(e, topic=bad) for e in data.examples),
        curves=tuple(replace(c, title=bad) for c in data.curves),
    )  # fmt: skip
    page = render(shown)
    assert "\x1b" not in page and "\u202e" not in page
    assert r"\x1b[31m\u202e" in page


def test_a_page_of_two_models_and_nothing_else_is_complete():
    bare = ReportData(
        title="Bare",
        metrics=METRICS,
        models=(
            ModelShown(name="a", label="A", role="base", rates={"unsafe": rate([True, False, None])}),
            ModelShown(name="b", label="B", role="aligned", rates={"unsafe": rate([None, None])}),
        ),
    )
    page = render(bare)
    tree = parsed(page)
    shown = "".join(tree.shown)
    assert "What was built" not in shown and "Examples" not in shown and "Training" not in shown
    assert "3 verdicts could not be read" in shown
    assert len([tag for tag, _ in tree.tags if tag == "svg"]) == 1


def test_pictures_are_encoded_anew_and_scaled_down(tmp_path):
    path = tmp_path / "big.jpg"
    Image.new("RGB", (900, 300), "teal").save(path, comment=b"SECRET-COMMENT")
    made = inline(path, 128)
    assert (made.width, made.height) == (128, 43) and not made.sharp
    import base64

    data = base64.b64decode(made.address.split(",")[1])
    assert b"SECRET-COMMENT" not in data and data.startswith(b"\x89PNG")


def test_a_picture_that_the_camera_turned_is_shown_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (120, 60), "teal").save(path, exif=exif)
    made = inline(path, 128)
    assert made is not None and (made.width, made.height) == (60, 120)


def test_every_picture_of_an_item_is_shown(tmp_path, data):
    for name in ("a", "b"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / f"{name}.png")
    two = replace(data.examples[0], pictures=(tmp_path / "a.png", tmp_path / "b.png"))
    tree = parsed(render(replace(data, examples=(two,), blur_pictures=True)))
    assert len([1 for tag, found in tree.tags if tag == "img" and "blur" in (found["class"] or "")]) == 2


def test_a_rate_of_which_neither_direction_is_better_is_called_neither_better_nor_worse(data):
    neutral = replace(data.metrics[4], better="neither")
    page = render(replace(data, metrics=(*data.metrics[:4], neutral, *data.metrics[5:])))
    shown = "".join(parsed(page).shown)
    assert "became so" in shown and shown.count("higher is better") == 2 * 2, "in the cards and in the table"
    assert "neither" not in shown.split("All numbers")[1].split("What was built")[0]


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_picture_that_cannot_be_read_is_said_to_be_missing(tmp_path, data, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    page = render(replace(data, examples=(replace(data.examples[0], pictures=(path,)),)))
    assert "no picture" in page


def test_harmful_pictures_can_be_blurred(data):
    page = render(replace(data, blur_pictures=True))
    blurred = [found for tag, found in parsed(page).tags if tag == "img" and "blur" in (found.get("class") or "")]
    assert len(blurred) == 3, "the harmless twin is not"


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path, data):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(data, tmp_path / "file" / "report.html")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def screenshot(page: Path, out: Path, width: int, *flags: str) -> Image.Image:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},3000"]
    options += [*flags, f"--user-data-dir={out.with_suffix('')}", f"--screenshot={out}", page.as_uri()]
    subprocess.run([CHROMIUM, *options], check=True, capture_output=True, timeout=60)
    with Image.open(out) as opened:
        return opened.convert("RGB")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to render the page with")
def test_a_real_browser_shows_it_on_a_narrow_screen_and_in_the_dark(tmp_path, data):
    path = write_report(data, tmp_path / "report.html")
    light = screenshot(path, tmp_path / "light.png", 500)
    dark = screenshot(path, tmp_path / "dark.png", 500, "--blink-settings=preferredColorScheme=0")
    assert light.size == dark.size == (500, 3000)
    assert min(light.getpixel((2, 2))) > 200 and max(dark.getpixel((2, 2))) < 60
    edge = light.crop((494, 0, 500, 3000)).getcolors()
    assert edge is not None and len(edge) == 1, "nothing spills over the right edge"
    assert len(light.getcolors(1 << 24) or []) > 100


def test_judges_and_pairs_are_audited_on_the_page(page, data):
    shown = " ".join(" ".join(parsed(page).shown).split())
    assert "Decided by position +18.3 points (+16.1 to +20.4; above zero for the answer shown first)" in shown
    assert "Krippendorff's α of all judges 0.81" in shown
    assert "AUC of length alone 0.684 0.502" in shown
    assert "before balance" in shown
    alone = render(replace(data, balance=(), panel=None))
    assert "What tells chosen from rejected" not in alone and "Krippendorff" not in alone
