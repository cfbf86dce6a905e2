"""Take the pictures of README and docs again: ``python template_tests/screens.py [PART ...]``.

Without a part it takes all, in a quarter of an hour. It needs Chromium, and LAPTOP_CSV for the
parts of the laptops. Plots with a point per row show the synthetic sample: no row of the real data
is published.
"""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from baking import check, take_snapshot
from browsing import SCREENSHOTS, ask_form, summary, terminal
from environments import ROOT
from PIL import Image, ImageOps
from playwright.sync_api import sync_playwright
from servers import free_port, running

from laptop_pricing.problem import PROBLEM

IMAGES = ROOT / "docs" / "images"
LARGEST = 200_000  # bytes, for a page that opens fast
PLOTS = {"learning-curve": "", "slices": "", "factors": ""}
PLOTS |= {"predictions": ".scratch/sample", "intervals": ".scratch/sample"}
# What each part takes.
PARTS = {
    "laptops": ["terminal.svg", "form.png", *(f"{name}.png" for name in PLOTS)],
    "mlflow": ["mlflow.png"],
    "guide": ["adopt.svg", "run.svg", "adopted-predictions.png", "adopted-form.png"],
}


def laptops() -> None:
    """The terminal, the plots and the form, of a model of the real data."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "laptops"
        root.mkdir()
        take_snapshot(root)
        check(root, "laptop-pricing", "ingest", os.environ["LAPTOP_CSV"])
        ran = check(root, "laptop-pricing", "run", timeout=1800)
        check(root, "laptop-pricing", "run", "--sample", timeout=1800)
        terminal(IMAGES / "terminal.svg", ("laptop-pricing run", summary(ran)), animated=True)
        for name, place in PLOTS.items():
            plot = root / place / "reports" / "figures" / f"{name.replace('-', '_')}.png"
            shrink(plot, f"{name}.png")
        _form(root)


def _form(root: Path) -> None:
    """The web form with the example, asking the REST API."""
    api, form = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    ours = [sys.executable, "-m", "laptop_pricing"]
    serve = [*ours, "serve", "--model", "models", "--port", api.rpartition(":")[2]]
    show = [*ours, "form", "--api", api, "--port", form.rpartition(":")[2]]
    with (
        running(serve, f"{api}/healthz", root / "api.log"),
        running(show, form, root / "form.log"),
        sync_playwright() as playwright,
    ):
        program = shutil.which("chromium") or shutil.which("google-chrome")
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
        ask_form(page, form, _example())
        page.screenshot(path=root / "form.png", full_page=True)
        chromium.close()
    shrink(root / "form.png", "form.png")


def _example() -> dict[str, str]:
    """The example as the form has it: numbers without their unit."""
    return {
        column.name: column.spell(column.read(cell)).partition(f" {column.unit or '-'}")[0]
        for column in PROBLEM.features
        if (cell := PROBLEM.example.get(column.name)) is not None
    }


def mlflow() -> None:
    """MLflow's charts of the notebooks' runs."""
    _test("test_workbench.py")
    shrink(SCREENSHOTS / "mlflow-charts.png", "mlflow.png")


def guide() -> None:
    """What docs/your-own-data.md leads to."""
    _test("test_guide.py")
    for name in PARTS["guide"]:
        if name.endswith(".svg"):
            (IMAGES / name).write_bytes((SCREENSHOTS / name).read_bytes())
        else:
            shrink(SCREENSHOTS / name, name)


def _test(name: str) -> None:
    """Run the tests that look at these pages and keep their pictures."""
    check(ROOT, sys.executable, "-m", "pytest", "-q", f"template_tests/{name}", timeout=3600)


def shrink(source: Path, name: str) -> None:
    """A picture of 256 colours without white edges, no wider than a page."""
    picture = Image.open(source).convert("RGB")
    picture = ImageOps.expand(picture.crop(ImageOps.invert(picture).getbbox()), 16, "white")
    picture.thumbnail((1280, 1600))
    picture.quantize(256, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)
    size = (IMAGES / name).stat().st_size
    assert size < LARGEST, f"{name}: {size:,} bytes"


def main() -> None:
    for part in sys.argv[1:] or PARTS:
        globals()[part]()
        print(part, *PARTS[part])


if __name__ == "__main__":
    main()
