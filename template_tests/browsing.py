"""Pictures of what a browser shows, to be looked at."""

from environments import ROOT

SCREENSHOTS = ROOT / ".scratch" / "screenshots"


def keep(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
