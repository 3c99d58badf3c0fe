"""The page's frame: styles, script and skeleton. Everything that is put in arrives as finished HTML."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from html import escape
from string import Template
from typing import Any

import altair as alt
import vl_convert

from orchestrator.analysis.page.script import SCRIPT
from orchestrator.analysis.page.theme import CONFIG

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
"""The version that Altair writes for: the page and the figures are drawn with it."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6472; --paper: #ffffff; --panel: #f6f7f9;
  --rule: #dde1e7; --warn: #8a5a00; --warn-panel: #fff7e3; --warn-rule: #ecd9a4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ec; --soft: #9aa4b2; --paper: #14181f; --panel: #1c222b; --rule: #323a46;
    --warn: #f0c674; --warn-panel: #2a2417; --warn-rule: #55471f; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1184px; margin: 0 auto; padding: 40px 32px 64px; }
h1 { font-size: 2rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.01em; margin: 0 0 4px;
  overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; font-weight: 620; margin: 56px 0 4px; }
h3 { font-size: 0.95rem; font-weight: 600; margin: 0 0 8px; }
.scroll + h3 { margin-top: 24px; }
p { margin: 0 0 12px; max-width: 76ch; }
.lead, .caption, .note { color: var(--soft); }
.lead { font-size: 1.05rem; margin-bottom: 24px; }
.caption, .note { font-size: 0.9rem; }
.warnings { background: var(--warn-panel); border: 1px solid var(--warn-rule); border-radius: 8px;
  padding: 12px 18px; margin: 20px 0; }
.warnings h2 { font-size: 0.95rem; margin: 0 0 4px; color: var(--warn); }
.warnings ul { margin: 0; padding-left: 20px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(310px, 1fr)); gap: 14px 32px; margin: 24px 0 0;
  padding: 18px 20px; background: var(--panel); border-radius: 8px; }
.facts div { min-width: 0; }
.facts dt { color: var(--soft); font-size: 0.8rem; }
.facts dd { margin: 0; font-size: 0.95rem; overflow-wrap: anywhere; }
.bar { display: flex; height: 10px; border-radius: 5px; overflow: hidden; background: var(--rule);
  margin: 20px 0 6px; }
.bar span { display: block; height: 100%; min-width: 2px; }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; margin: 0; list-style: none; font-size: 0.85rem;
  color: var(--soft); }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.findings { margin-top: 40px; }
.findings h2 { margin-top: 0; }
.answer { font-size: 1.2rem; line-height: 1.45; margin: 8px 0 20px; max-width: 68ch; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); margin: 0 0 20px;
  border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
.figures div { padding: 14px 20px 14px 0; min-width: 0; }
.figures dt { color: var(--soft); font-size: 0.8rem; }
.figures dd { margin: 0; }
.figures b { display: block; font-size: 1.5rem; font-weight: 620; line-height: 1.25; letter-spacing: -0.01em;
  overflow-wrap: anywhere; }
.figures span { display: block; color: var(--soft); font-size: 0.8rem; line-height: 1.4; }
.verdict { margin: 0; padding-left: 20px; max-width: 80ch; }
.verdict li { margin-bottom: 6px; overflow-wrap: anywhere; }
section > h3, figure > h3 { margin-top: 28px; }
figure { margin: 16px 0 0; }
.pair { display: flex; flex-wrap: wrap; gap: 24px 32px; }
.pair > .note { flex-basis: 100%; }
.pair > div, .stack > div { min-width: 0; max-width: 100%; }
.stack > div + div { margin-top: 24px; }
.plot { overflow-x: auto; max-width: 100%; min-height: 20px; color: var(--ink); }
.plot .nearest { fill: none; stroke: currentColor; stroke-width: 1.5; pointer-events: none; }
.plot.vega-embed { display: block; }
.plot.vega-embed summary { opacity: 0.6; background: var(--paper); border-color: var(--rule); color: var(--ink);
  box-shadow: none; }
.plot.vega-embed .vega-actions a { color: #1c2330; }
details.table { margin-top: 12px; font-size: 0.88rem; }
details.table > summary { cursor: pointer; color: var(--soft); width: fit-content; }
.scroll { overflow: auto; max-height: 560px; margin-top: 8px; border: 1px solid var(--rule); border-radius: 6px; }
.scroll.open { max-height: none; font-size: 0.88rem; }
.scroll.open thead th { white-space: normal; vertical-align: bottom; }
.scroll.open th, .scroll.open td { padding: 4px 9px; }
table { border-collapse: collapse; width: 100%; font-size: 0.85rem; }
caption { text-align: left; color: var(--soft); padding: 8px 12px; }
th, td { padding: 4px 12px; text-align: left; border-top: 1px solid var(--rule); vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--panel); font-weight: 600; white-space: nowrap; border-top: 0; }
tbody th { font-weight: 500; min-width: 7em; }
tbody th, td:not(.number) { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
footer { margin-top: 56px; padding-top: 12px; border-top: 1px solid var(--rule); color: var(--soft);
  font-size: 0.85rem; }
#vg-tooltip-element.vg-tooltip { background: var(--paper); color: var(--ink); border: 1px solid var(--rule);
  border-radius: 6px; box-shadow: 0 4px 16px rgb(0 0 0 / 0.18); font: 13px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; max-width: 440px; }
#vg-tooltip-element.vg-tooltip td.key { display: table-cell; color: var(--soft); max-width: none;
  font-size: inherit; }
#vg-tooltip-element.vg-tooltip td.value { max-width: 300px; }
#vg-tooltip-element.vg-tooltip td { border: 0; padding: 1px 4px; }
#vg-tooltip-element.vg-tooltip table { width: auto; font-size: inherit; }
@media (max-width: 640px) { main { padding: 24px 16px; } }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --panel: #fff; --rule: #bbb; --warn: #000; --warn-panel: #fff;
    --warn-rule: #888; color-scheme: light; }
  @page { margin: 14mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  table, .caption, .note, .key { font-size: 8.5pt; }
  .answer { font-size: 12pt; }
  .figures dt, .figures span, .facts dt { font-size: 8pt; }
  .facts dd { font-size: 9pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3, .caption { break-after: avoid; }
  .caption { break-inside: avoid; }
  h2 { margin-top: 24px; }
  .figures { grid-template-columns: repeat(5, 1fr); }
  .figures b { font-size: 1.2rem; }
  .facts { border: 1px solid var(--rule); grid-template-columns: 1fr 1fr; }
  figure > .plot, .pair > div, .stack > div, .figures, .verdict li, tr, .warnings { break-inside: avoid; }
  .plot { overflow: visible; }
  .plot svg { max-width: 100%; max-height: 195mm; height: auto; }
  .plot.vega-embed { padding-right: 0; }
  .plot.vega-embed details, #vg-tooltip-element { display: none; }
  details.table:not([open]) { display: none; }
  .scroll { max-height: none; overflow: visible; }
  table { font-size: 8pt; }
  thead th, .number { white-space: normal; }
  th, td { padding: 2px 6px; }
  tr { break-inside: avoid; }
  table:not(:has(tbody tr:nth-child(16))) { break-inside: avoid; }
  h3:has(+ details.table:not([open])) { display: none; }
}
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="$policy">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
$data
<script>$library</script>
<script>$script</script>
</body>
</html>
""")


def page(*, title: str, body: str, charts: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole HTML file.

    Its policy allows the two scripts below, by their hashes, and no network: a name in the store that got past the
    escaping could still run nothing.

    Args:
        title: Plain text.
        body: HTML, with an element `data-chart="ID"` for each chart.
        charts: Vega-Lite specifications by ID.
    """
    library = chart_library()
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in (library, SCRIPT))
    data = [json_block("chart-config", CONFIG), *(json_block(name, chart) for name, chart in charts.items())]
    return _PAGE.substitute(
        policy=f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'",
        title=escape(title),
        style=_STYLE,
        body=body,
        data="\n".join(data),
        library=library,
        script=SCRIPT,
    )


def json_block(name: str, value: object) -> str:
    """JSON that a script of the page can read by its ID, whatever strings are in it.

    Raises:
        ValueError: The value holds NaN or an infinity, which JSON has no word for.
    """
    return f'<script type="application/json" id="{escape(name)}">{json_text(value)}</script>'


def json_text(value: object) -> str:
    """JSON that cannot end the element it stands in.

    Raises:
        ValueError: The value holds NaN or an infinity, which JSON has no word for.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE))
    # A carriage return would change the hash: HTML parsers turn it into a line feed.
    assert "</script" not in bundle.lower() and "\r" not in bundle, "the library cannot stand in a page"  # noqa: S101, PT018
    return bundle


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
