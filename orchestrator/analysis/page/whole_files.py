"""Files that are replaced whole or not at all, and the folder that they go into."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from orchestrator.errors import UsageError


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Writes files; existing ones are replaced, and only once all the new ones are on the disk.

    Raises:
        OSError: One cannot be written. No file is then half written, and no temporary one is left.
    """
    with ExitStack() as at_the_end:
        temporaries = {path: path.with_name(f".{path.name}.{uuid4().hex}.tmp") for path in contents}
        for path, content in contents.items():
            at_the_end.callback(temporaries[path].unlink, missing_ok=True)
            with temporaries[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in temporaries.items():
            temporary.replace(path)


def ready_folder(folder: Path) -> None:
    """Makes a folder if it is missing, and finds out whether files can be made in it.

    Raises:
        UsageError: It is a file, cannot be made, or takes no files.
    """
    probe = folder / f".{uuid4().hex}.tmp"
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; --figures needs a folder, which is made where it is missing")
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"figures cannot be written into {folder}: {error.strerror}; choose another folder with --figures"
        ) from error
