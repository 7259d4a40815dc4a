"""Which code this is, as records name it."""

import subprocess
from hashlib import sha256
from pathlib import Path

from study import __version__

HERE = Path(__file__).parent


def code_version() -> str:
    """The git revision, with -dirty where files were changed; without git, as in a job that was
    submitted, the version and a digest of the package's files.
    """
    try:
        _git("ls-files", "--error-unmatch", "__init__.py")  # not some other project's revision
        revision = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return f"{__version__}-{digest(HERE)}"
    return revision + ("-dirty" if changed else "")


def digest(package: Path) -> str:
    """What changes with any name or line of a package's modules."""
    found = sha256()
    modules = (path for path in package.rglob("[!.]*.py") if path.is_file())
    for path in sorted(modules):
        for content in (path.relative_to(package).as_posix().encode(), path.read_bytes()):
            found.update(sha256(content).digest())
    return found.hexdigest()[:16]


def _git(*words: str) -> str:
    command = ["git", "-C", str(HERE), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, errors="replace"
    ).stdout.strip()
