"""demo: API, form and MLflow at the addresses that it prints, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from problems import LAPTOPS

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


def start(project):
    """The running command, and its addresses by name."""
    process = subprocess.Popen(
        [sys.executable, "-m", "laptop_pricing", "demo"],
        cwd=project.root,
        env=os.environ | {"MLFLOW_TRACKING_URI": "", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    while "Ctrl+C" not in "".join(lines[-1:]):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    return process, dict(re.findall(r"^(\w.*?) +(http\S+)", "".join(lines), re.MULTILINE))


def test_three_pages_until_ctrl_c(trained):
    process, addresses = start(trained(LAPTOPS))
    assert [*addresses] == ["REST API", "Web form", "MLflow"]
    pages = {name: urllib.request.urlopen(url).read().decode() for name, url in addresses.items()}
    assert "swagger" in pages["REST API"] and "<form" in pages["Web form"]
    assert "MLflow" in pages["MLflow"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, process.stderr.read()
    for url in addresses.values():
        with pytest.raises(OSError):
            urllib.request.urlopen(url, timeout=5)


def test_one_that_ends_by_itself_ends_all(trained):
    process, addresses = start(trained(LAPTOPS))
    port = addresses["REST API"].split(":")[2].split("/")[0]
    listed = subprocess.run(["ps", "-wwAo", "pid=,args="], capture_output=True, text=True).stdout
    (serve,) = re.findall(rf"^ *(\d+) .*serve --port {port}$", listed, re.MULTILINE)
    os.kill(int(serve), signal.SIGKILL)
    said = process.stderr.read()
    assert process.wait(30) == 1 and "REST API: ended" in said and "REST API.log" in said
    with pytest.raises(OSError):
        urllib.request.urlopen(addresses["Web form"], timeout=5)
