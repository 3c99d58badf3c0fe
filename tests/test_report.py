"""The page, opened in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from orchestrator.analysis.answers.curves import Curve
from orchestrator.analysis.answers.load import load_page_data
from orchestrator.analysis.page.document import json_block
from orchestrator.analysis.page.report import render, write_report
from orchestrator.errors import UsageError
from tests import sweep_rows
from tests.sweep_rows import trial

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PLOTS = {"accuracy", "behind-best", "learning-curves", "lr-response", "state-counts"}
NETWORKS = ["resnet18", "vgg11", "vit", "convnext"]
WRITTEN = datetime(2026, 3, 2, tzinfo=UTC)
EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
QUOTES = "\"'><svg onload=window.hacked=1>{{x}}${y}`\\u2028\N{LINE SEPARATOR}]]>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless Chromium of our own."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_page_load_timeout(40)
        driver.set_script_timeout(20)
        yield driver
    finally:
        driver.quit()


def written(rows: sweep_rows.Rows, folder: Path, sweep: str = "s") -> Path:
    path = folder / "report.html"
    write_report(load_page_data(sweep_rows.connect(rows), sweep), path, written_at=WRITTEN)
    return path


def opened(browser: webdriver.Chrome, path: Path) -> None:
    """Opens a page and waits until every plot was tried; the console must stay empty."""
    browser.get(path.as_uri())
    deadline = time.monotonic() + 40
    while not browser.execute_script("return document.documentElement.dataset.drawn"):
        assert time.monotonic() < deadline, f"the plots did not finish: {browser.get_log('browser')}"
        time.sleep(0.05)
    assert browser.get_log("browser") == []


def marks(browser: webdriver.Chrome) -> dict[str, int]:
    """Marks drawn in each plot."""
    return dict(
        browser.execute_script(
            "return [...document.querySelectorAll('[data-chart]')].map(box => [box.dataset.chart,"
            " box.querySelectorAll('svg .mark-rect.role-mark path, svg .mark-line.role-mark path,"
            " svg .mark-symbol.role-mark path').length])"
        )
    )


@pytest.fixture(scope="module")
def small() -> sweep_rows.Rows:
    return sweep_rows.made_up_sweep(NETWORKS, ["sgd", "adamw", "lamb", "lion"])


@pytest.mark.browser
def test_every_plot_is_drawn_with_its_table(
    browser: webdriver.Chrome, small: sweep_rows.Rows, tmp_path: Path
) -> None:
    opened(browser, written(small, tmp_path))
    drawn = marks(browser)
    assert set(drawn) == PLOTS
    assert drawn["accuracy"] >= 16
    assert drawn["behind-best"] >= 16
    assert drawn["learning-curves"] >= 16 * 4
    assert drawn["lr-response"] >= 16 * 8 * 0.8
    assert drawn["state-counts"] >= 16
    tables = browser.find_elements(By.CSS_SELECTOR, "details.table table")
    assert len(tables) >= 4
    assert all(table.find_elements(By.TAG_NAME, "caption") for table in tables)
    assert (
        browser.execute_script("return document.querySelectorAll('details.table table')[0].tBodies[0].rows.length")
        == 16
    )
    # Panels stand in the order of the spec, which is neither alphabetical nor that of the rows.
    for plot in ("learning-curves", "lr-response", "state-counts"):
        words = [text.text for text in browser.find_elements(By.CSS_SELECTOR, f"[data-chart={plot}] svg text")]
        assert [word for word in words if word in NETWORKS] == NETWORKS
    # Nothing sticks out sideways on a laptop.
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.browser
def test_pointing_at_a_square_shows_interval_and_counts(
    browser: webdriver.Chrome, small: sweep_rows.Rows, tmp_path: Path
) -> None:
    opened(browser, written(small, tmp_path))
    square = browser.find_element(By.CSS_SELECTOR, "[data-chart=accuracy] .mark-rect.role-mark path")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", square)
    ActionChains(browser).move_to_element_with_offset(square, -25, 10).perform()
    tooltip = browser.find_element(By.ID, "vg-tooltip-element")
    deadline = time.monotonic() + 5
    while "visible" not in (tooltip.get_attribute("class") or "") and time.monotonic() < deadline:
        time.sleep(0.05)
    text = tooltip.text
    assert "resnet18" in text
    assert re.search(r"\d+\.\d\d % \[\d+\.\d\d, \d+\.\d\d\]", text), text
    assert "n = 3" in text
    assert "complete" in text


@pytest.mark.browser
def test_it_follows_dark_mode(browser: webdriver.Chrome, small: sweep_rows.Rows, tmp_path: Path) -> None:
    opened(browser, written(small, tmp_path))
    colours = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        colours.append(
            browser.execute_script(
                "return [getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('.role-axis-label text')).fill]"
            )
        )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    (light_paper, light_ink), (dark_paper, dark_ink) = colours
    assert (light_paper, dark_paper) == ("rgb(255, 255, 255)", "rgb(20, 24, 31)")
    assert light_ink != dark_ink


@pytest.mark.browser
def test_names_that_try_to_inject_are_harmless(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rows = sweep_rows.made_up_sweep([EVIL, QUOTES], [EVIL, QUOTES], epochs=3)
    bad = trial(trial_id=EVIL, state="FAIL", score=None, reason=EVIL, backbone=EVIL, optimizer=QUOTES, device=QUOTES)
    rows.trials.append(bad)
    rows.attempts.append(sweep_rows.attempt(bad, exception=QUOTES))
    tables = sweep_rows.spec([EVIL, QUOTES], [EVIL, QUOTES], data={"name": EVIL, "validation": QUOTES})
    rows.sweeps = [sweep_rows.sweep(tables, 99, packages=json.dumps({"torch": EVIL}))]
    opened(browser, written(rows, tmp_path))
    assert all(number > 0 for number in marks(browser).values())
    for square in browser.find_elements(By.CSS_SELECTOR, "[data-chart=accuracy] .mark-rect.role-mark path"):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", square)
        ActionChains(browser).move_to_element(square).perform()
    time.sleep(0.2)
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_elements(By.CSS_SELECTOR, "img, svg[onload], #vg-tooltip-element img") == []
    assert EVIL in browser.find_element(By.CSS_SELECTOR, ".firsts").text
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_even_unescaped_html_could_run_nothing(
    browser: webdriver.Chrome, small: sweep_rows.Rows, tmp_path: Path
) -> None:
    path = written(small, tmp_path)
    html = path.read_text(encoding="utf-8")
    path.write_text(html.replace("<main>", f"<main>{EVIL}"), encoding="utf-8")
    browser.get(path.as_uri())
    time.sleep(0.3)
    assert browser.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


@pytest.mark.browser
def test_an_empty_sweep_says_what_is_missing(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rows = sweep_rows.Rows(sweeps=[sweep_rows.sweep(sweep_rows.spec(["resnet18", "vit"], ["sgd", "adam"]), 44)])
    opened(browser, written(rows, tmp_path))
    assert marks(browser) == {"accuracy": 4, "behind-best": 4}
    text = browser.find_element(By.TAG_NAME, "main").text
    assert "0 of 44 trials have ended" in text
    assert "4 cells of 4 without any score yet" in text
    assert "no optimizer has a score yet" in text


@pytest.mark.browser
def test_a_partial_sweep_says_what_is_missing(
    browser: webdriver.Chrome, small: sweep_rows.Rows, tmp_path: Path
) -> None:
    tables = sweep_rows.spec(NETWORKS, ["sgd", "adamw", "lamb", "lion"])
    tables["data"]["validation"] = "test"
    kept = [
        row for row in small.trials if row.backbone != "vit" or (row.role == "design" and row.optimizer != "lion")
    ]
    part = sweep_rows.Rows(
        sweeps=[sweep_rows.sweep(tables, 176)], trials=kept, curves=small.curves, attempts=small.attempts
    )
    opened(browser, written(part, tmp_path))
    text = browser.find_element(By.TAG_NAME, "main").text
    assert f"{len(kept)} of 176 trials have ended" in text
    assert "1 cell of 16 without any score yet." in text
    assert "3 cells of 16 not confirmed with fresh seeds yet." in text
    assert "selected on the test part" in text
    assert "best design or tune trial, not confirmed" in text


@pytest.mark.browser
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_sweep_of_one_cell_and_few_epochs(browser: webdriver.Chrome, tmp_path: Path, epochs: int) -> None:
    opened(browser, written(sweep_rows.made_up_sweep(["a"], ["b"], epochs=epochs, seeds=1), tmp_path))
    assert all(number > 0 for number in marks(browser).values())


@pytest.mark.browser
def test_400_cells_stay_light(browser: webdriver.Chrome, tmp_path: Path) -> None:
    names = [f"number_{i:02d}" for i in range(20)]
    rows = sweep_rows.made_up_sweep(names, names, epochs=1, points=16)
    data = load_page_data(sweep_rows.connect(rows), "s")
    epochs = tuple(range(1, 301))
    rising = tuple(0.7 - 0.6 / epoch for epoch in epochs)
    curves = tuple(Curve(trial_id=curve.trial_id, epochs=epochs, val_top1=rising) for curve in data.curves)
    path = tmp_path / "report.html"
    write_report(replace(data, curves=curves), path, written_at=WRITTEN)
    assert path.stat().st_size < 10_000_000
    opened(browser, path)
    drawn = marks(browser)
    assert set(drawn) == PLOTS
    assert drawn["accuracy"] >= 400
    assert drawn["learning-curves"] >= 400


def test_the_page_needs_no_network_and_one_library(small: sweep_rows.Rows) -> None:
    html = render(load_page_data(sweep_rows.connect(small), "s"), written_at=WRITTEN).html
    assert "default-src 'none'" in html
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=", html.split("<script>")[0]) == []
    assert html.count("<script>") == 2
    assert "2026-03-02 00:00 UTC" in html


def test_a_curve_that_is_not_a_number_is_a_gap(tmp_path: Path) -> None:
    rows = sweep_rows.made_up_sweep(["a"], ["b"], epochs=4, seeds=2)
    rows.curves = [
        sweep_rows.CurveRow(**{**sweep_rows.asdict(row), "val_top1": float("nan")}) if row.epoch == 3 else row
        for row in rows.curves
    ]
    assert (
        "NaN"
        not in render(load_page_data(sweep_rows.connect(rows), "s"), written_at=WRITTEN).html.split("<script>")[0]
    )


def test_json_in_a_page_cannot_end_its_element() -> None:
    block = json_block("x", {"name": EVIL + QUOTES})
    inside = block.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == {"name": EVIL + QUOTES}


def test_a_report_is_replaced_whole_or_not_at_all(small: sweep_rows.Rows, tmp_path: Path) -> None:
    data = load_page_data(sweep_rows.connect(small), "s")
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(data, path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match="cannot be written to"):
        write_report(data, tmp_path / "folder.html")
    with pytest.raises(UsageError, match="cannot be written to"):
        write_report(data, tmp_path / "nowhere" / "report.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.html", "report.html"]
