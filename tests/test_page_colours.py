"""The page's colours: text that can be read and marks that can be seen, in both themes and by colour-blind eyes."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from orchestrator.analysis.page.document import page
from orchestrator.analysis.page.theme import (
    CHOICE_COLOURS,
    CONFIG,
    DARK_INK,
    FIGURE_INK,
    LIGHT_INK,
    OPTIMIZER_COLOURS,
    OPTIMIZER_DASHES,
    PART_COLOURS,
    STATE_COLOURS,
)
from tests.colours import EYES, contrast, difference, rgb

TEXT, MARK = 4.5, 3.0
"""Least contrast of text and of graphics (WCAG 2.2 AA, criteria 1.4.3 and 1.4.11)."""
APART = 0.1
"""Least distance of colours that stand for different things, on a scale where black and white are 1 apart: five
times what the eye can just tell of two large areas, as points and lines are small."""

PALETTES = {
    "optimizers": OPTIMIZER_COLOURS,
    "states": tuple(STATE_COLOURS.values()),
    "parts": tuple(PART_COLOURS.values()),
    "choices": tuple(CHOICE_COLOURS.values()),
}
"""Colours that stand for different things in one plot."""


def themes() -> dict[str, dict[str, str]]:
    """The style sheet's colours by theme: light first, then what dark mode and paper replace."""
    html = page(title="", body="", charts={})
    roots = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", block)) for block in re.findall(r":root \{([^}]*)\}", html)
    ]
    assert len(roots) == 3, "light, dark, paper"
    return {"light": roots[0], "dark": {**roots[0], **roots[1]}, "paper": {**roots[0], **roots[2]}}


@pytest.mark.parametrize("theme", ["light", "dark", "paper"])
def test_text_can_be_read(theme: str) -> None:
    colours = {name: rgb(value) for name, value in themes()[theme].items()}
    for ink, ground in [
        ("ink", "paper"), ("soft", "paper"), ("ink", "panel"), ("soft", "panel"), ("ink", "warn-panel"),
        ("warn", "warn-panel"),
    ]:  # fmt: skip
        assert contrast(colours[ink], colours[ground]) >= TEXT, (ink, ground)
    for name, value in opacities(CONFIG).items():
        seen = value * colours["ink"] + (1 - value) * colours["paper"]
        assert contrast(seen, colours["paper"]) >= TEXT, name


def opacities(config: dict[str, Any]) -> dict[str, float]:
    """Of the text in plots."""
    return {
        f"{part} {name}": value
        for part, values in config.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if name in ("labelOpacity", "titleOpacity")
    }


@pytest.mark.parametrize("theme", ["light", "dark", "paper"])
@pytest.mark.parametrize("palette", PALETTES)
def test_marks_stand_out_from_the_page(palette: str, theme: str) -> None:
    for colour in PALETTES[palette]:
        assert contrast(rgb(colour), rgb(themes()[theme]["paper"])) >= MARK, colour


def test_figures_have_the_ink_of_the_light_page() -> None:
    assert themes()["light"]["ink"] == FIGURE_INK


def test_any_square_takes_one_of_the_two_inks() -> None:
    # The worst grey is where both are equally good.
    greys = [np.full(3, level) for level in np.linspace(0, 1, 256)]
    assert min(max(contrast(rgb(ink), grey) for ink in (LIGHT_INK, DARK_INK)) for grey in greys) >= TEXT


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("palette", PALETTES)
def test_colours_stay_apart_for_colour_blind_eyes(palette: str, eyes: str) -> None:
    for one, other in combinations(PALETTES[palette], 2):
        assert difference(rgb(one), rgb(other), eyes) >= APART, (one, other)


def test_lines_beyond_the_colours_differ_in_their_dashes() -> None:
    assert len({tuple(dash) for dash in OPTIMIZER_DASHES}) == len(OPTIMIZER_DASHES)
    assert len(OPTIMIZER_COLOURS) * len(OPTIMIZER_DASHES) >= 28, "the catalogue's optimizers"


def test_the_measures_are_right() -> None:
    black, white, grey = rgb("#000"), rgb("#ffffff"), rgb("rgb(119, 119, 119)")
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(grey, white) == pytest.approx(4.48, abs=0.005), "the well-known grey that just fails"
    assert difference(black, white, "normal") == pytest.approx(1, abs=1e-3)
    # What normal eyes tell apart easily, others hardly: a red and a green of equal brightness to deutan eyes.
    red, green = rgb("#b45f3c"), rgb("#6e7d2a")
    assert difference(red, green, "deutan") < 0.4 * difference(red, green, "normal")
