"""Where the policies and templates that ship with the tool are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml12

_PACKAGE = Path(__file__).resolve().parent


def bundled(name: str) -> Path:
    """Return the folder `policies` or `templates`.

    In a wheel it stands inside the package; in a checkout, beside it.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"rbacguard is installed without its {name}; install it again")


def read_bundled(path: Path) -> Any:
    """Return the value of a YAML file that ships with the tool.

    The fast reader does: PyYAML, which reads what people write, takes longer to load than this to
    read, and that the two read these files alike is tested.
    """
    return yaml12.parse_yaml(path.read_text("utf-8"))
