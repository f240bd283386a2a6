"""Permission bits of a disk's files and directories, and what they mean."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass

from jtc.storage.driver_support.option_checks import checked_visibility
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.models import Visibility

__all__ = ["Modes", "modes_of"]

_FILE_MODES = {Visibility.PUBLIC: 0o644, Visibility.PRIVATE: 0o600}
_DIRECTORY_MODES = {Visibility.PUBLIC: 0o755, Visibility.PRIVATE: 0o700}
_ALL = 0o777


@dataclass(frozen=True, slots=True)
class Modes:
    """The permission bits that a disk gives, and reads.

    Attributes:
        public: Those of a public file.
        private: Those of a private file.
        default: The visibility of a new file; None is what the umask leaves.
        new_file: The bits of `default`.
        new_directory: Those of a new directory; None is what the umask leaves.
    """

    public: int = 0o644
    private: int = 0o600
    default: Visibility | None = None
    new_file: int | None = None
    new_directory: int | None = None

    def of(self, visibility: Visibility) -> int:
        """Return the bits of a visibility."""
        return self.public if visibility is Visibility.PUBLIC else self.private

    def visibility_of(self, mode: int) -> Visibility:
        """Return `Visibility.PUBLIC` for a file that all users of the machine may read.

        Also for one with all that a public file permits and a private one does not.
        """
        more = self.public & ~self.private
        is_public = mode & stat.S_IROTH or mode & more == more
        is_public = is_public and stat.S_IMODE(mode) != self.private
        return Visibility.PUBLIC if is_public else Visibility.PRIVATE


def modes_of(
    visibility: object,
    file_modes: object,
    directory_modes: object,
    *,
    is_private: bool,
) -> Modes:
    """Return what the options of a disk say.

    Args:
        visibility: Of new files, or None.
        file_modes: Bits by visibility, or None.
        directory_modes: Bits by visibility, or None.
        is_private: New files are private without `visibility`.

    Raises:
        StorageConfigException: An option is invalid.
    """
    files = _checked("file_modes", file_modes, _FILE_MODES, 0o600)
    directories = _checked("directory_modes", directory_modes, _DIRECTORY_MODES, 0o700)
    chosen = checked_visibility(visibility)
    default = Visibility.PRIVATE if chosen is None and is_private else chosen
    has_directory_mode = chosen is not None or directory_modes is not None
    return Modes(
        files[Visibility.PUBLIC],
        files[Visibility.PRIVATE],
        default,
        None if default is None else files[default],
        directories[default or Visibility.PUBLIC] if has_directory_mode else None,
    )


def _checked(
    option: str, given: object, defaults: Mapping[Visibility, int], least: int
) -> Mapping[Visibility, int]:
    """Return bits for both visibilities.

    Raises:
        StorageConfigException: They are none, or lack those by which this program works.
    """
    if given is None:
        return defaults
    if not isinstance(given, Mapping) or not set(given) <= set(Visibility):
        raise StorageConfigException(
            f"{option!r} is a table of 'public' and 'private', not {given!r}"
        )
    modes = {each: _mode(option, given.get(each, default)) for each, default in defaults.items()}
    for mode in modes.values():
        if mode & least != least:
            raise StorageConfigException(
                f"{option!r} has 0{mode:o}, and at least 0{least:o} is needed: this program reads "
                "and writes by it"
            )
    if not modes[Visibility.PUBLIC] & ~modes[Visibility.PRIVATE]:
        raise StorageConfigException(
            f"{option!r} permits for 'public' nothing that it does not permit for 'private'"
        )
    return modes


def _mode(option: str, value: object) -> int:
    mode = -1
    if isinstance(value, str):
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
    elif isinstance(value, int) and not isinstance(value, bool):
        mode = value
    if not 0 <= mode <= _ALL:
        raise StorageConfigException(
            f'{option!r} has {value!r}, and takes octal numbers up to 0777, such as 0o640 or "0640"'
        )
    return mode
