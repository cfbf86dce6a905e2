"""Pictures of pages, taken by a real browser.

README's picture of MLflow, of whatever runs a server shows:
``python template_tests/screens.py http://127.0.0.1:5000 docs/images/mlflow.png``
"""

import sys
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def browser_page(**viewport):
    """A new page of Chromium."""
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport=viewport or None)
        browser.close()


def picture_of_runs(address, path):
    """Photograph the runs of the first experiment of an MLflow server, with their figures.

    Returns
    -------
    str
        The text of the page.
    """
    with browser_page(width=1440, height=420) as page:
        page.set_default_timeout(60_000)
        page.goto(f"{address}/#/experiments/1/runs?workflowType=machine_learning")
        page.get_by_text("Show more columns").wait_for(state="attached")
        page.get_by_label("Close").first.click()  # what covers the table
        page.get_by_role("button", name="Columns", exact=True).click()
        for column in ("Dataset", "Source", "Models", "R2", "MAPE", "alphas", "crossed"):
            page.get_by_text(column, exact=True).last.click()
        page.keyboard.press("Escape")
        page.get_by_text("Metrics", exact=True).first.wait_for()
        page.wait_for_timeout(1000)  # the menu closes, the columns take their places
        page.screenshot(path=path, clip={"x": 200, "y": 80, "width": 1236, "height": 330})
        return page.inner_text("body")


if __name__ == "__main__":
    print(picture_of_runs(*sys.argv[1:]))
