"""Plots as files: each in three formats, with text that is text, replaced whole or not at all."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pytest
from PIL import Image

from orchestrator.analysis.page import report
from orchestrator.analysis.page.figures import draw, write_figures
from orchestrator.analysis.page.report import write_report
from orchestrator.analysis.page.section import Section, spec
from orchestrator.analysis.trials.load import load_page_data
from orchestrator.analysis.trials.sweep_data import PageData
from orchestrator.errors import UsageError
from tests import sweep_rows
from tests.command_line import Call

PLOTS = ("accuracy", "behind-best", "learning-curves", "lr-response", "state-counts")
EVIL = "</text><script>alert(1)</script>&\"' currentColor \x0b\x00"
BEGINNINGS = {"svg": b"<svg", "pdf": b"%PDF", "png": b"\x89PNG"}


@pytest.fixture(scope="module")
def page_data() -> PageData:
    rows = sweep_rows.made_up_sweep(["resnet18", EVIL], ["sgd", EVIL, "lion"], epochs=4, points=4, seeds=2)
    return load_page_data(sweep_rows.connect(rows), "s")


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def chart_of(label: str, **mark: Any) -> dict[str, Any]:
    data = alt.InlineData(values=[{"x": 1, "label": label}, {"x": 2, "label": "b"}])
    return spec(alt.Chart(data).mark_point(**mark).encode(x="x:Q", y="label:N"), "Two points")


def test_every_plot_of_the_page_becomes_three_files(page_data: PageData, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "if missing"
    written = write_report(page_data, tmp_path / "page.html", figures=folder)
    assert names(folder) >= {f"{plot}.{suffix}" for plot in PLOTS for suffix in BEGINNINGS}
    assert names(folder) == {path.name for path in written}
    charts = re.findall(r'data-chart="([^"]+)"', (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert {path.stem for path in written} == set(charts)
    for path in written:
        assert path.read_bytes().startswith(BEGINNINGS[path.suffix[1:]])
    for path in folder.glob("*.svg"):
        root = ElementTree.parse(path).getroot()
        assert root[0].tag.endswith("title")
        assert root[0].text
        words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert words
        assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
        assert "currentColor" not in {value for element in root.iter() for value in element.attrib.values()}
        with Image.open(path.with_suffix(".png")) as picture:
            assert picture.size == pytest.approx(
                [2 * float(root.get(side, "0")) for side in ("width", "height")], abs=1
            )


def test_letters_are_drawn_and_not_boxes() -> None:
    # Boxes for what the font lacks would look alike; minus, dash, dot and Greek letters stand in our own words.
    letters = ("oa", "io", "\N{MINUS SIGN}a", "\N{EN DASH}a", "\N{MIDDLE DOT}a", "\N{GREEK SMALL LETTER ETA}a")
    pictures = {pixels(chart_of(word)).tobytes() for word in letters}
    assert len(pictures) == len(letters)


def pixels(chart: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(draw(chart)["png"])) as picture:
        return np.asarray(picture.convert("RGB"))


def test_the_pdf_carries_its_font() -> None:
    assert re.search(rb"/FontFile[23]|/Type0|/Subtype */CIDFont", draw(chart_of("a"))["pdf"])


def test_existing_files_are_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "one.svg").write_text("old")
    write_figures({"one": chart_of("a")}, tmp_path)
    assert names(tmp_path) == {"notes.txt", "one.svg", "one.pdf", "one.png"}
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device; choose another folder with --figures"):
        write_figures({"one": chart_of("other")}, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_chart_is_not_named_by_a_user() -> None:
    for name in ("../up", "a b", "", "A", "a.b", "resnet18/sgd"):
        with pytest.raises(AssertionError, match="cannot name charts"):
            Section(charts={name: {}})


def test_the_command_writes_them(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "backbone,optimizer,top1\nresnet18,sgd,0.7\nresnet18,adamw,0.6\nvgg11,sgd,0.5\nvgg11,adamw,0.6\n"
    )
    assert call("import", str(table), "--sweep", "mine").code == 0
    answer = call("report", "mine", "-o", "page.html", "--figures", "plots")
    assert answer.code == 0, answer.err
    count = len(names(tmp_path / "plots"))
    assert count >= 9
    assert f"plots ({count} files)" in answer.out
    monkeypatch.setattr(report, "render", lambda *_, **__: pytest.fail("a bad folder is refused before the work"))
    for folder in ("table.csv", "table.csv/below", "/proc/nowhere", "x" * 300):
        answer = call("report", "mine", "-o", "page.html", "--figures", folder)
        assert answer.code == 2
        assert len(answer.err.strip().splitlines()) == 1
        assert "--figures" in answer.err
    assert not list((tmp_path / "plots").glob(".*"))
