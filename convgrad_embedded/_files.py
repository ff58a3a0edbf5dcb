"""Files that are never seen half written: the old content stays until the new one is whole and on the disk."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def path(value: str | os.PathLike[str], otherwise: str) -> Path:
    """TypeError for what is no path, such as an open file or its bytes, with what to do then."""
    try:
        return Path(value)
    except TypeError:
        raise TypeError(f"path: expected a path, got {type(value).__name__}; {otherwise}") from None


def write(files: Mapping[Path, bytes]) -> None:
    """Writes all of them, or (if one cannot be written) leaves all as they were.

    What a path leads to is what changes: a symbolic link stays one. A file keeps its permissions. What is no file (a
    device, a pipe) cannot be replaced and is written to as it is.
    """
    with ExitStack() as undo:
        staged = [_stage(path, content, undo) for path, content in files.items()]
        for (path, content), replacement in zip(files.items(), staged):
            if replacement is None:
                path.write_bytes(content)
            else:
                os.replace(*replacement)
                _synchronize_directory(replacement[1].parent)


def _stage(path: Path, content: bytes, undo: ExitStack) -> tuple[Path, Path] | None:
    """Writes the new content beside the old one. Returns where, and which file it is for; None if that is no file."""
    target, old = Path(os.path.realpath(path)), _status(path)
    if old is not None and not _is_replaceable(target, old):
        return None
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    partial = target.with_name(f".{secrets.token_hex(8)}.part")
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode)
    try:
        descriptor = os.open(partial, _CREATE, mode)  # not there before, so nobody else's, nor a link to elsewhere
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None  # the name that the caller knows
    undo.callback(_remove, partial)
    with os.fdopen(descriptor, "wb") as file:
        if old is not None:
            _copy_owner_and_mode(descriptor, old)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return partial, target


def _copy_owner_and_mode(descriptor: int, old: os.stat_result) -> None:
    if sys.platform == "win32":
        return
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):  # only root may give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))  # whatever the umask


def _status(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return path.stat()
    return None


def _is_replaceable(target: Path, old: os.stat_result) -> bool:
    """Whether `old` is a file that has a name: /dev/stdout may lead to one that has none any more.

    What is at `target` now may be another file already, which another writer has put there: it may be replaced too.
    """
    now = _status(target)
    return stat.S_ISREG(old.st_mode) and now is not None and stat.S_ISREG(now.st_mode)


def _remove(partial: Path) -> None:
    with suppress(FileNotFoundError):  # it is in its place
        partial.unlink()


def _synchronize_directory(directory: Path) -> None:
    """So that the new name outlives a power failure too, where directories can be opened (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
