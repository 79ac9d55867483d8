"""Install commands for remedies: such as work where this package was installed from."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

NAME = "parallel-integrations"


def install_command(extra: str) -> str:
    """The `pip install` that adds an extra to this installation.

    The package is on no index, so the command names the folder or repository that pip recorded.

    Example:
        ```python
        from parallel_integrations._install import install_command

        print(install_command("langchain"))  # pip install '/home/me/clone[langchain]'
        ```
    """
    try:
        recorded = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        recorded = {}
    url = recorded.get("url", "")
    if version_control := recorded.get("vcs_info"):
        revision = version_control.get("requested_revision")
        address = f"{version_control['vcs']}+{url}" + (f"@{revision}" if revision else "")
        return f"pip install '{NAME}[{extra}] @ {address}'"
    if "dir_info" in recorded:
        # On Windows the path begins with a slash before the drive.
        path = unquote(urlsplit(url).path)
        return f"pip install '{path.lstrip('/') if path[2:3] == ':' else path}[{extra}]'"
    if url:
        return f"pip install '{NAME}[{extra}] @ {url}'"
    return f"pip install '.[{extra}]' in a clone of the repository"
