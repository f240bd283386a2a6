"""Completion in bash, zsh and fish: the scripts, and the question that they put to the program.

Typer's own scripts are not used: bash takes ``disk:path`` for two words, which theirs passes on so,
and a space would follow each directory. What may come next is typer's answer.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._terminal.output import PROGRAM

__all__ = ["VARIABLE", "install", "read_question", "script"]

VARIABLE = "_JTC_STORAGE_COMPLETE"
"""The environment variable by which a shell asks how a command line may go on."""

_LINE = "_JTC_STORAGE_LINE"

_BASH = r"""
_jtc_storage_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" word="${COMP_WORDS[COMP_CWORD]}" value colons
    # Bash replaces what is behind the last colon, if a colon ends a word.
    colons="${line//\\ /_}"
    colons="${colons##* }"
    colons="${colons//[!:]/}"
    [[ "$COMP_WORDBREAKS" == *:* && "$word" != [\"\']* ]] || colons=""
    COMPREPLY=()
    while IFS= read -r value; do
        [[ -n "$value" ]] || continue
        [[ "$value" == *[/:] ]] && compopt -o nospace
        local rest="$colons"
        while [[ -n "$rest" ]]; do
            value="${value#*:}"
            rest="${rest#:}"
        done
        [[ "$word" == [\"\']* ]] || printf -v value %q "$value"
        COMPREPLY+=("$value")
    done < <(_JTC_STORAGE_COMPLETE=line _JTC_STORAGE_LINE="$line" "$1" 2>/dev/null)
}
complete -o default -F _jtc_storage_completion jtc-storage
"""

_ZSH = r"""
#compdef jtc-storage
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_jtc_storage_completion() {
    local -a complete open
    local value
    while IFS= read -r value; do
        [[ -n "$value" ]] || continue
        if [[ "$value" == *[/:] ]]; then open+=("$value"); else complete+=("$value"); fi
    done < <(_JTC_STORAGE_COMPLETE=line _JTC_STORAGE_LINE="${(j: :)words[1,CURRENT]}" \
        "${words[1]}" 2>/dev/null)
    (( $#complete )) && compadd -- $complete
    (( $#open )) && compadd -S '' -- $open
}
compdef _jtc_storage_completion jtc-storage
"""

_FISH = r"""
function __jtc_storage_completion
    set -lx _JTC_STORAGE_COMPLETE line
    set -lx _JTC_STORAGE_LINE (commandline -cp)
    jtc-storage 2>/dev/null | string match --regex '.+'
end
complete --command jtc-storage --no-files --arguments '(__jtc_storage_completion)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def read_question() -> None:
    """Have typer answer a script's question: the line is a variable, up to the cursor."""
    if os.environ.get(VARIABLE) != "line":
        return
    line = os.environ.get(_LINE, "")
    words = len(_split(line))
    os.environ.update(
        {
            VARIABLE: "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(words if line.endswith(" ") else words - 1),
        }
    )


def script(shell: str) -> str:
    """Return the script of a shell.

    Raises:
        UsageError: There is none for this shell.
    """
    if shell not in _SCRIPTS:
        raise UsageError(f"There is a completion for bash, zsh and fish, not for {shell!r}")
    return _SCRIPTS[shell].lstrip()


def install(shell: str) -> str:
    """Install the script of a shell for this user.

    Returns:
        What was done.

    Raises:
        UsageError: There is none for this shell.
    """
    text = script(shell)
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    if shell == "fish":  # which looks there by itself
        file, start = config / f"fish/completions/{PROGRAM}.fish", None
    else:
        file = data / f"{PROGRAM}/completion.{shell}"
        start = (
            Path(os.environ.get("ZDOTDIR") or home) if shell == "zsh" else home
        ) / f".{shell}rc"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    read_by = ""
    if start is not None:
        line = f"source {shlex.quote(str(file))}"
        before = start.read_text(encoding="utf-8") if start.exists() else ""
        if line not in before.splitlines():
            end = "" if before.endswith("\n") or not before else "\n"
            with start.open("a", encoding="utf-8") as opened:
                opened.write(f"{end}{line}\n")
        read_by = f", which {start} reads"
    return f"The completion is in {file}{read_by}. It works in a new terminal\n"


def _split(line: str) -> list[str]:
    """Split a line that may end within a word or a quotation, as typer does."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        words.append(lexer.token)
    return words
