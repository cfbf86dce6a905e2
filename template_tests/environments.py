"""Virtual environments for tests: other Pythons, other versions of the libraries.

Each is made once, by ``venv`` and ``uv``, and kept in ``.environments/``. Remove that
folder to rebuild them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".environments"
MARKER = "complete"


def environment(name, requirements, python=None):
    """The folder of executables of an environment that holds exactly these requirements.

    Parameters
    ----------
    name : str
        The beginning of the folder's name. A hash of the requirements and the Python follows.
    requirements : list of str, or Path
        Lines of a requirements file, or such a file; its folder is the one of relative paths.
    python : str, optional
        A version such as "3.10"; the running interpreter by default.

    Returns
    -------
    Path
        ``bin``, or ``Scripts`` on Windows.

    Without such a Python the test is skipped. It is skipped, too, when nothing can be installed;
    where the variable CI is set it fails then.
    """
    interpreter = sys.executable if python is None else find_python(python)
    if interpreter is None:
        pytest.skip(f"Python {python} is neither on the PATH nor known to pyenv")
    if isinstance(requirements, Path):
        base, content = requirements.parent, requirements.read_text(encoding="utf-8")
    else:
        base, content = ROOT, "\n".join(requirements) + "\n"
    version = _run([interpreter, "-c", "import sys; print(sys.version)"])
    digest = hashlib.sha256(f"{version}\n{base}\n{content}".encode()).hexdigest()[:12]
    folder = ENVIRONMENTS / f"{name}-{digest}"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / MARKER).exists():
            _make(folder, interpreter, base, content)
    return _executables(folder)


def find_python(version):
    """The path of a Python of this version, or None."""
    candidates = [shutil.which(f"python{version}")]
    if shutil.which("pyenv"):
        found = subprocess.run(["pyenv", "prefix", version], capture_output=True, text=True)
        candidates.append(str(Path(found.stdout.strip()) / "bin" / "python"))
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        try:
            done = subprocess.run([candidate, "-c", program], capture_output=True, text=True)
        except OSError:
            continue
        if done.stdout.strip() == version:
            return candidate
    return None


def _make(folder, interpreter, base, content):
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run([interpreter, "-m", "venv", str(folder)])
        wanted = folder / "requirements.txt"
        wanted.write_text(content, encoding="utf-8")
        python = str(_executables(folder) / "python")
        install(python, "--requirement", str(wanted), cwd=base)
    except subprocess.CalledProcessError as error:
        output = f"{error.stdout}{error.stderr}".strip()
        reason = f"cannot make the environment {folder.name}: {output[-1000:]}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    (folder / MARKER).touch()


def install(python, *what, cwd=None):
    """Install into the environment of a Python what pip would, in a tenth of the time."""
    _run([sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, *what], cwd=cwd)


def _executables(folder):
    return folder / ("Scripts" if os.name == "nt" else "bin")


def _run(command, cwd=None):
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
