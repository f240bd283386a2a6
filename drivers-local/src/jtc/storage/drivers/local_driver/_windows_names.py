"""Names that Windows does not take, or takes for something else.

https://learn.microsoft.com/windows/win32/fileio/naming-a-file
"""

from __future__ import annotations

import re

__all__ = ["may_be_short_name", "name_error"]

_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f]')
# Also with an extension, and with spaces before that: "nul .txt".
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3])[ ]*(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
# What Windows calls a file with a long name as well, such as LETTER~1.TXT.
_SHORT = re.compile(r"[^.]{0,6}~[0-9]{1,6}(?:\.[^.]{0,3})?")


def name_error(name: str) -> str | None:
    """Return why a name is none for Windows; None if it is one."""
    if found := _FORBIDDEN.search(name):
        return f"On Windows no name contains {found[0]!r}"
    if name.endswith((".", " ")):
        return "On Windows no name ends with a dot or a space"
    if _DEVICE.fullmatch(name):
        return "On Windows this is the name of a device, also with an extension"
    return None


def may_be_short_name(name: str) -> bool:
    """Return whether a name may be the short one that Windows gave a file with a long one."""
    return _SHORT.fullmatch(name) is not None
