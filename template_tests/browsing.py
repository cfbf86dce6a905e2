"""Pictures of what a browser and a terminal show, to be looked at."""

import html
import textwrap

from environments import ROOT

SCREENSHOTS = ROOT / ".scratch" / "screenshots"
COLUMNS, GLYPH, ROW = 100, 8.4, 20  # of a terminal: pixels of a character and of a line
STYLE = """text { font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
fill: #e4e4ef } .typed { fill: #8be9a8; font-weight: bold }"""
ANIMATION = """@keyframes show { from { opacity: 0 } } text { animation: show .1s both }
@media (prefers-reduced-motion: reduce) { text { animation: none } }"""


def keep(page, name, **options):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", **options)


def ask_form(page, address, fields):
    """Fill in the web form, send it, and give the prediction that it shows."""
    page.goto(address)
    for name, value in fields.items():
        answer(page, name, value)
    page.locator("button.main").click()
    return page.locator("#result strong").inner_text()


def answer(page, name, value):
    """Answer a question of the form's: tap a choice, or choose from a list, or type."""
    tapped = page.locator(f'label:has([name="field.{name}"][value="{value}"])')
    field = page.locator(f'[id="field.{name}"]')
    if tapped.count():
        tapped.click()
    elif field.evaluate("field => field.localName") == "select":
        field.select_option(value)
    else:
        field.fill(value)


def summary(printed):
    """What ``run`` printed, without the steps before its summary."""
    return "..." + printed[printed.index("\nRows ") :]


def terminal(path, *typed, animated=False):
    """Draw a terminal as SVG: each command, and below it what it printed.

    Animated, the lines appear one after the other within five seconds and stay.
    """
    lines, fold = [], textwrap.TextWrapper(COLUMNS - 4, break_on_hyphens=False)
    for command, output in typed:
        first, *rest = fold.wrap(command)
        lines += [(f"$ {first}", True), *((f"    {line}", True) for line in rest)]
        for line in [*output.rstrip().splitlines(), ""]:
            cuts = range(0, max(1, len(line)), COLUMNS)
            lines += [(line[cut : cut + COLUMNS], False) for cut in cuts]
    drawn, delay, pause = "", 0.0, 4 / len(lines)
    for row, (line, by_hand) in enumerate(lines[:-1], 1):
        text = line.lstrip()
        place = f'x="{16 + GLYPH * (len(line) - len(text)):.1f}" y="{row * ROW + 8}"'
        width = f'textLength="{GLYPH * len(text):.1f}" lengthAdjust="spacingAndGlyphs"'
        shown = ' class="typed"' if by_hand else ""
        shown += f' style="animation-delay: {delay:.2f}s"' if animated else ""
        if text:
            drawn += (
                f'<text {place} {width}{shown} xml:space="preserve">{html.escape(text)}</text>\n'
            )
        delay += pause
    size = f"{32 + GLYPH * max(len(line) for line, _ in lines):.0f} {len(lines) * ROW + 8}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">\n'
        f"<title>{html.escape(typed[0][0])}</title>\n"
        f"<style>{STYLE}\n{ANIMATION if animated else ''}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#1e1e2e"/>\n{drawn}</svg>\n',
        encoding="utf-8",
    )
