"""The page, opened in a real browser."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from orchestrator.analysis.page import tables
from orchestrator.analysis.page.document import json_block
from orchestrator.analysis.page.report import render, write_report
from orchestrator.analysis.trials.curves import Curve
from orchestrator.analysis.trials.load import load_page_data
from orchestrator.errors import UsageError
from tests import sweep_rows
from tests.colours import contrast, rgb
from tests.sweep_rows import trial

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PLOTS = {
    "accuracy", "residuals", "behind-best", "variance", "tuning-curves", "coupling-by-budget", "sensitivity-plane",
    "lr-response", "good-rates", "carriers-optimizers", "carriers-backbones", "mean-ranks", "learning-curves",
    "divergence", "state-counts",
}  # fmt: skip
NETWORKS = ["resnet18", "vgg11", "vit", "convnext"]
WRITTEN = datetime(2026, 3, 2, tzinfo=UTC)
EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
QUOTES = "\"'><svg onload=window.hacked=1>{{x}}${y}`\\u2028\N{LINE SEPARATOR}]]>"


EVIL_NETWORKS = [EVIL, QUOTES, "datum['x']\\", "ab\u202eresnet"]
EVIL_OPTIMIZERS = [EVIL, QUOTES, "${window.hacked=1}", "'+(window.hacked=1)+'", "long " + "name" * 49]


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


@pytest.fixture(scope="module")
def small_page(small: sweep_rows.Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(small, tmp_path_factory.mktemp("small"))


@pytest.fixture
def page(browser: webdriver.Chrome, small_page: Path) -> webdriver.Chrome:
    """The browser on the page of a small sweep, drawn, whatever an earlier test has done to it."""
    if browser.current_url != small_page.as_uri():
        opened(browser, small_page)
    return browser


@contextmanager
def media(browser: webdriver.Chrome, kind: str = "", **features: str) -> Iterator[None]:
    """The page as on another medium, or for readers with other preferences."""
    values = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": values})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def point_at(browser: webdriver.Chrome, element: WebElement, x: int = 0, y: int = 0) -> str:
    """Moves the pointer to an element, and gives what the page says about it."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    ActionChains(browser, duration=20).move_to_element_with_offset(element, x, y).perform()
    tooltip = browser.find_element(By.ID, "vg-tooltip-element")
    deadline = time.monotonic() + 5
    while "visible" not in (tooltip.get_attribute("class") or "") and time.monotonic() < deadline:
        time.sleep(0.02)
    return tooltip.text


@pytest.mark.browser
def test_every_plot_is_drawn(page: webdriver.Chrome) -> None:
    drawn = marks(page)
    assert set(drawn) == PLOTS
    assert drawn["accuracy"] >= 16
    assert drawn["residuals"] >= 16
    assert all(number > 0 for number in drawn.values())
    assert drawn["learning-curves"] >= 16 * 4
    # The points of a cell are one mark for those that completed and one for those that diverged.
    assert 16 <= drawn["lr-response"] <= 16 * 2
    assert drawn["state-counts"] >= 16
    # Panels stand in the order of the spec, which is neither alphabetical nor that of the rows.
    for plot in ("learning-curves", "lr-response", "state-counts"):
        words = page.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map(text => text.textContent)",
            f"[data-chart={plot}] svg text",
        )
        assert [word for word in words if word in NETWORKS] == NETWORKS
    # Nothing sticks out sideways on a laptop.
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.browser
def test_those_who_cannot_see_a_plot_have_its_description_and_its_table(page: webdriver.Chrome) -> None:
    labels = page.execute_script(
        "return [...document.querySelectorAll('[data-chart] [role=graphics-document],"
        " [data-chart][role=graphics-document]')].map(plot => plot.getAttribute('aria-label'))"
    )
    assert len(labels) == len(PLOTS)
    assert all(labels)
    assert len(set(labels)) == len(labels)
    tables = page.execute_script(
        "return [...document.querySelectorAll('table')].map(table => ({caption: table.caption?.textContent, rows:"
        " table.tBodies[0].rows.length, bare: table.querySelectorAll('th:not([scope])').length, heads:"
        " [...table.tBodies[0].rows].filter(row => row.querySelector('th[scope=row]')).length}))"
    )
    assert len(tables) >= 4
    assert tables[0]["rows"] == 16
    for table in tables:
        assert table["caption"]
        assert table["bare"] == 0
        assert table["heads"] == table["rows"]
    levels = page.execute_script("return [...document.querySelectorAll('h1, h2, h3')].map(head => +head.tagName[1])")
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


@pytest.mark.browser
def test_the_keyboard_alone_opens_and_scrolls_a_table(page: webdriver.Chrome) -> None:
    summary = page.find_element(By.CSS_SELECTOR, "details.table > summary")
    table = summary.find_element(By.XPATH, "../div")
    page.execute_script("window.scrollTo(0, 0); document.activeElement.blur()")
    for _ in range(12):
        ActionChains(page).send_keys(Keys.TAB).perform()
        if page.switch_to.active_element == summary:
            break
    assert page.switch_to.active_element == summary
    assert not table.is_displayed()
    ActionChains(page).send_keys(Keys.ENTER).perform()
    assert table.is_displayed()
    ActionChains(page).send_keys(Keys.TAB).perform()
    assert page.switch_to.active_element == table
    assert table.get_attribute("tabindex") == "0"
    assert table.get_attribute("role") == "region"
    assert table.get_attribute("aria-label") == summary.text
    page.execute_script("arguments[0].parentElement.open = false", table)


@pytest.mark.browser
def test_pointing_at_a_square_shows_interval_and_counts(page: webdriver.Chrome) -> None:
    square = page.find_element(By.CSS_SELECTOR, "[data-chart=accuracy] .mark-rect.role-mark path")
    text = point_at(page, square, -25, 10)
    assert "resnet18" in text
    assert re.search(r"\d+\.\d\d % \[\d+\.\d\d, \d+\.\d\d\]", text), text
    assert "n = 3" in text
    assert "complete" in text


@pytest.mark.browser
@pytest.mark.parametrize(
    ("plot", "x", "y"),
    [
        ("tuning-curves", ("random trials n", "n"), ("expected best (%)", "mean")),
        ("learning-curves", ("epoch", "epoch"), ("accuracy (%)", "accuracy")),
        ("lr-response", ("learning rate", "lr"), ("score (%)", "score")),
    ],
)
def test_anywhere_in_a_panel_the_nearest_point_is_told(
    page: webdriver.Chrome, plot: str, x: tuple[str, str], y: tuple[str, str]
) -> None:
    panel = page.find_element(By.CSS_SELECTOR, f"[data-chart={plot}] .role-scope .background")
    # Between the epochs, and not on a line.
    point_at(page, panel, 31, -35)
    said = dict(
        page.execute_script(
            "return [...document.querySelectorAll('#vg-tooltip-element tr')].map("
            "row => [...row.cells].map(cell => cell.textContent))"
        )
    )
    chart = page.execute_script("return JSON.parse(document.getElementById(arguments[0]).textContent)", plot)
    points = [
        (str(at), str(value))
        for records in chart["datasets"].values()
        for record in records
        if (record["row"], record["optimizer"]) == (said["backbone"], said["optimizer"]) and x[1] in record
        for at, value in zip(record[x[1]], record[y[1]], strict=True)
    ]
    assert (said[x[0]], said[y[0]]) in points
    frame, dot = page.execute_script(
        "return [arguments[0], document.querySelector('circle.nearest')].map(one => one.getBoundingClientRect())",
        panel,
    )
    (left, top), at = [(box["left"] + box["width"] / 2, box["top"] + box["height"] / 2) for box in (frame, dot)]
    assert math.dist((left + 31, top - 35), at) < 40
    ActionChains(page, duration=20).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    assert not page.find_elements(By.CSS_SELECTOR, "circle.nearest, #vg-tooltip-element.visible")
    # What a click in the legend has faded is not told.
    other = next(name for name in ("sgd", "lion") if name != said["optimizer"])
    entries = page.find_elements(By.CSS_SELECTOR, f"[data-chart={plot}] .role-legend-label text")
    entry = next(entry for entry in entries if entry.text == other)
    ActionChains(page, duration=20).move_to_element(entry).click().perform()
    assert other in point_at(page, panel, 31, -35)
    ActionChains(page, duration=20).move_to_element(entry).click().perform()


@pytest.mark.browser
def test_a_long_table_has_its_rows_when_it_is_opened(
    browser: webdriver.Chrome, small: sweep_rows.Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LONG", 100)
    rows = sweep_rows.Rows(sweeps=small.sweeps, trials=[replace(row, optimizer=EVIL) for row in small.trials])
    opened(browser, written(rows, tmp_path))
    details = next(
        one
        for one in browser.find_elements(By.CSS_SELECTOR, "details.table")
        if one.find_element(By.TAG_NAME, "summary").text == "The points as a table"
    )
    assert not details.find_elements(By.CSS_SELECTOR, "tbody tr")
    browser.execute_script("arguments[0].open = true", details)
    body = details.find_element(By.TAG_NAME, "tbody")
    deadline = time.monotonic() + 5
    while not (text := body.text) and time.monotonic() < deadline:
        time.sleep(0.02)
    scored = [row for row in small.trials if row.role == "design" and row.score is not None]
    assert len(body.find_elements(By.CSS_SELECTOR, "tr > th[scope=row]")) == len(scored)
    assert EVIL in text
    heads, cells = browser.execute_script(
        "return [arguments[0].tHead.rows[0], arguments[0].tBodies[0].rows[0]].map("
        "row => [...row.cells].map(cell => cell.className))",
        details.find_element(By.TAG_NAME, "table"),
    )
    assert heads == cells
    assert browser.execute_script("return window.hacked") is None
    browser.execute_script("arguments[0].open = false; arguments[0].open = true", details)
    assert len(body.find_elements(By.TAG_NAME, "tr")) == len(scored)


@pytest.mark.browser
def test_it_follows_dark_mode(page: webdriver.Chrome) -> None:
    colours = []
    for scheme in ("light", "dark"):
        with media(page, prefers_color_scheme=scheme):
            colours.append(
                page.execute_script(
                    "return [getComputedStyle(document.body).backgroundColor,"
                    " getComputedStyle(document.querySelector('.role-axis-label text')).fill]"
                )
            )
    (light_paper, light_ink), (dark_paper, dark_ink) = colours
    assert (light_paper, dark_paper) == ("rgb(255, 255, 255)", "rgb(20, 24, 31)")
    assert light_ink != dark_ink


@pytest.mark.browser
def test_numbers_and_outlines_on_coloured_squares_can_be_seen(page: webdriver.Chrome) -> None:
    pairs = page.execute_script(
        """
        const middle = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
        return [...document.querySelectorAll("[data-chart]")].flatMap((chart) => {
          const squares = [...chart.querySelectorAll(".mark-rect.role-mark path[fill^=rgb]")];
          const marks = ".mark-text.role-mark text, .mark-rect.role-mark path:not([fill^=rgb])[stroke^='#']";
          return [...chart.querySelectorAll(marks)].flatMap((mark) => {
            const [x, y] = middle(mark.getBoundingClientRect());
            const under = squares.map((square) => [square, square.getBoundingClientRect()])
              .find(([, box]) => box.left < x && x < box.right && box.top < y && y < box.bottom);
            const ink = mark.tagName === "text" ? "fill" : "stroke";
            return under ? [[ink, getComputedStyle(mark)[ink], getComputedStyle(under[0]).fill]] : [];
          });
        });
        """
    )
    assert len(pairs) >= 16
    assert any(kind == "stroke" for kind, _, _ in pairs), "an outlined square"
    for _, ink, paper in pairs:
        assert contrast(rgb(ink), rgb(paper)) >= 4.5, (ink, paper)


def check_paper(browser: webdriver.Chrome, plots: set[str]) -> None:
    """No plot is wider than an A4 page inside the margins of the style sheet, at 96 pixels an inch; and with its
    heading none is taller than a US Letter page, so that the heading need not stand alone on the page before."""
    width, height = ((side - 28) / 25.4 * 96 for side in (210, 279))
    size = {"width": round(width), "height": round(height), "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        with media(browser, "print"):
            boxes = browser.execute_script(
                """
                const heads = [...document.querySelectorAll("h2, h3")];
                return [...document.querySelectorAll("[data-chart] svg.marks")].map((plot) => {
                  const before = heads.filter((head) => head.compareDocumentPosition(plot) & 4).at(-1);
                  const { left, right, bottom } = plot.getBoundingClientRect();
                  return { left, right, height: bottom - before.getBoundingClientRect().top };
                });
                """
            )
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert len(boxes) == len(plots)
    for box in boxes:
        # A pixel for rounding.
        assert box["left"] >= -1
        assert box["right"] <= width + 1
        assert box["height"] <= height


@pytest.mark.browser
def test_on_paper_no_plot_is_cut(page: webdriver.Chrome) -> None:
    check_paper(page, PLOTS)
    with media(page, "print"):
        shown, breaks = page.execute_script(
            "return [[...document.querySelectorAll('details.table, .vega-embed details')]"
            ".filter(folded => folded.getClientRects().length).length,"
            " [...document.querySelectorAll('figure > .plot, .pair > div')]"
            ".map(box => getComputedStyle(box).breakInside)]"
        )
        # A short table stays in one piece; a long one is cut between rows, with its headings on each page.
        tables_cut = page.execute_script(
            "return [...document.querySelectorAll('.scroll.open > table')].map("
            "table => [table.tBodies[0].rows.length, getComputedStyle(table).breakInside])"
        )
    assert shown == 0
    assert set(breaks) == {"avoid"}
    assert tables_cut
    for rows, inside in tables_cut:
        assert inside == ("avoid" if rows <= 15 else "auto")
    paper = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
    assert base64.b64decode(paper["data"]).startswith(b"%PDF")


@pytest.mark.browser
def test_names_that_try_to_inject_are_harmless(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rows = sweep_rows.made_up_sweep(EVIL_NETWORKS, EVIL_OPTIMIZERS, epochs=3)
    bad = trial(trial_id=EVIL, state="FAIL", score=None, reason=EVIL, backbone=EVIL, optimizer=QUOTES, device=QUOTES)
    tables = sweep_rows.spec(EVIL_NETWORKS, EVIL_OPTIMIZERS, data={"name": EVIL, "validation": QUOTES})
    tables["grid"]["recipes"] = [QUOTES]
    rows.sweeps = [sweep_rows.sweep(tables, 99, packages=json.dumps({"torch": EVIL}))]
    rows.trials = [replace(row, sweep=EVIL, recipe=QUOTES) for row in (*rows.trials, bad)]
    rows.sweeps = [replace(row, sweep=EVIL) for row in rows.sweeps]
    rows.curves = [replace(row, sweep=EVIL) for row in rows.curves]
    rows.attempts = [replace(row, sweep=EVIL) for row in (*rows.attempts, sweep_rows.attempt(bad, exception=QUOTES))]
    opened(browser, written(rows, tmp_path, EVIL))
    assert set(marks(browser)) == PLOTS
    assert all(number > 0 for number in marks(browser).values())
    said = [
        point_at(browser, square)
        for square in browser.find_elements(By.CSS_SELECTOR, "[data-chart=accuracy] .mark-rect.role-mark path")[::3]
    ]
    assert any("<script>" in text for text in said)
    for entry in browser.find_elements(By.CSS_SELECTOR, "[data-chart=learning-curves] .role-legend-entry text"):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", entry)
        ActionChains(browser, duration=0).click(entry).perform()
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_elements(By.CSS_SELECTOR, "img, svg[onload], #vg-tooltip-element img") == []
    names = browser.execute_script("return [...document.querySelectorAll('tbody th')].map(head => head.textContent)")
    assert {f"{name} \N{MIDDLE DOT} {QUOTES}" for name in [*EVIL_NETWORKS[:-1], "ab\ufffdresnet"]} <= set(names)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script("return /[\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText)") is False
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_long_names_that_begin_alike_are_told_apart(browser: webdriver.Chrome, tmp_path: Path) -> None:
    networks = [f"a_backbone_whose_name_{'goes_on_' * 4}{end}" for end in ("224", "384")]
    optimizers = [f"an_optimizer_whose_name_{'goes_on_' * 4}{end}" for end in ("one", "two", "six")]
    opened(browser, written(sweep_rows.made_up_sweep(networks, optimizers, epochs=2), tmp_path))
    plots = browser.execute_script(
        "return [...document.querySelectorAll('[data-chart]')].map(box => [box.dataset.chart, [...new Set("
        "[...box.querySelectorAll('svg text')].map(text => text.textContent))],"
        " box.querySelector('svg.marks').getBoundingClientRect().right, box.getBoundingClientRect().right])"
    )
    for plot, texts, right, end in plots:
        shortened = [text for text in texts if text.startswith("a") and "\N{HORIZONTAL ELLIPSIS}" in text]
        assert not [text for text in shortened if not re.search(r"(224|384|one|two|six)\b", text)], plot
        assert right <= end + 1, f"{plot} is cut at the right"
    assert {plot for plot, texts, *_ in plots if any("\N{HORIZONTAL ELLIPSIS}" in text for text in texts)} >= {
        "accuracy", "behind-best", "tuning-curves", "sensitivity-plane", "mean-ranks", "learning-curves"
    }  # fmt: skip
    wide = browser.execute_script(
        "return [...document.querySelectorAll('.scroll.open')].filter("
        "box => box.scrollWidth > box.clientWidth + 1).length"
    )
    assert wide == 0


@pytest.mark.browser
def test_even_unescaped_html_could_run_nothing(browser: webdriver.Chrome, small_page: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(small_page.read_text(encoding="utf-8").replace("<main>", f"<main>{EVIL}"), encoding="utf-8")
    browser.get(path.as_uri())
    time.sleep(0.3)
    assert browser.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


@pytest.mark.browser
def test_an_empty_sweep_says_what_is_missing(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rows = sweep_rows.Rows(sweeps=[sweep_rows.sweep(sweep_rows.spec(["resnet18", "vit"], ["sgd", "adam"]), 44)])
    opened(browser, written(rows, tmp_path))
    assert marks(browser) == {"accuracy": 4}
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
    ticks = browser.execute_script(
        "return [...document.querySelectorAll(\"[data-chart=learning-curves] [aria-label^='X-axis'] text\")]"
        ".map(text => text.textContent).filter(text => text !== 'epoch')"
    )
    assert len(set(ticks)) == len(ticks) >= epochs


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
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    opened(browser, path)
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    busy = {metric["name"]: metric["value"] for metric in metrics}["TaskDuration"]
    browser.execute_cdp_cmd("Performance.disable", {})
    # Within 2 s on a quiet laptop (1.2 s measured), with as much again for slower machines. It is the page's own
    # work on the processor's clock: what runs beside this test does not count.
    assert busy < 2.5
    # Of 400 cells with failed trials there is always one without a given point, and no coordinates to make up for it.
    plots = PLOTS - {"coupling-by-budget"}
    check_paper(browser, plots)
    drawn = marks(browser)
    assert set(drawn) == plots
    assert drawn["accuracy"] >= 400
    assert drawn["learning-curves"] >= 400


def test_the_page_needs_no_network_and_one_library(small_page: Path) -> None:
    html = small_page.read_text(encoding="utf-8")
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


def test_failed_trials_come_with_the_command_that_runs_them_again(tmp_path: Path) -> None:
    rows = sweep_rows.made_up_sweep(["a"], ["b"], epochs=4)
    rows.trials = [*rows.trials, trial(trial_id="bad", state="FAIL", score=None, backbone="a", optimizer="b")]
    assert "`bocb resume s --retry all` runs them again" in written(rows, tmp_path).read_text(encoding="utf-8")


def test_json_in_a_page_cannot_end_its_element() -> None:
    block = json_block("x", {"name": EVIL + QUOTES})
    inside = block.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == {"name": EVIL + QUOTES}


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    data = load_page_data(sweep_rows.connect(sweep_rows.made_up_sweep(["a"], ["b"], epochs=1, points=2)), "s")
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
