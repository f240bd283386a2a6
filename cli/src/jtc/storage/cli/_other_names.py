"""Names that commands and options have in other programs, with what does the same here."""

from __future__ import annotations

__all__ = ["COMMANDS", "option_note"]

_LS = "'ls' lists a directory, 'ls -lR' all that is below, with sizes"
_JSON = "'ls --json' writes all that is known"
_CP = "'cp' copies; a single file goes into a directory whose name ends with a slash"
_MV = "'mv' moves; a directory goes into one that exists with --merge"
_RM = (
    "'rm' deletes files, 'rm -r' a directory; to choose files: find … -0 | xargs -0 jtc-storage rm"
)
_SUMS = "'stat' shows the checksums that a store has, 'check --checksum' compares two directories"
_SYNC = (
    "'sync' makes a directory like another one, and deletes what only the target has by --delete"
)
_URL = "'url' writes the public URL, 'url --expires 1h' a presigned one"
_STAT = "'stat' shows the metadata of a file"
_CHECK = "'check' compares two directories"
_CONFIG = "disks are configured in a TOML file, or by environment variables; 'disks' lists them"
_NO_DIRECTORIES = "a directory is there while it has files; 'put' makes it"
_DU = "'du -s' counts files and bytes, -h for people"
_HELP = "jtc-storage COMMAND --help shows the options of one"
_UPLOADS = "'uploads sweep' aborts unfinished uploads of an S3 disk"
_COMPLETION = "jtc-storage --install-completion bash, or zsh, fish"

COMMANDS = {
    "about": _DU,
    "cleanup": _UPLOADS,
    "cmp": _CHECK,
    "compare": _CHECK,
    "completion": _COMPLETION,
    "config": _CONFIG,
    "copy": _CP,
    "copyto": _CP,
    "copyurl": "'put' reads a pipe: curl URL | jtc-storage put - disk:path",
    "del": _RM,
    "delete": _RM,
    "deletefile": _RM,
    "diff": _CHECK,
    "dir": _LS,
    "download": "'get' fetches files and directories of a disk",
    "genautocomplete": _COMPLETION,
    "hashsum": _SUMS,
    "head": _STAT,
    "help": _HELP,
    "info": _STAT,
    "link": _URL,
    "list": _LS,
    "listremotes": "'disks' lists the disks",
    "ll": "'ls -l' lists with sizes and times",
    "lsd": "'ls' marks directories by a slash, 'find --type d' lists those at any depth",
    "lsf": _LS,
    "lsjson": _JSON,
    "lsl": _LS,
    "md5sum": _SUMS,
    "mirror": _SYNC,
    "mkdir": _NO_DIRECTORIES,
    "move": _MV,
    "moveto": _MV,
    "ncdu": _DU,
    "presign": _URL,
    "purge": "'rm -r' deletes a directory with all that is below",
    "rcat": "'put' reads standard input: jtc-storage put - disk:path",
    "remove": _RM,
    "rename": _MV,
    "rmdir": _NO_DIRECTORIES,
    "rmdirs": _NO_DIRECTORIES,
    "rsync": _SYNC,
    "sha1sum": _SUMS,
    "sha256sum": _SUMS,
    "share": _URL,
    "signurl": _URL,
    "size": _DU,
    "test": "'doctor' finds what is wrong with the disks, 'bench' measures how fast one is",
    "touch": "an empty file is made by: jtc-storage put /dev/null disk:path",
    "unlink": _RM,
    "upload": "'put' sends files and directories of this machine to a disk",
    "version": "jtc-storage --version",
}
"""Commands of rclone, of s5cmd and of the AWS CLI, by their names."""

_PROGRESS = "a bar is shown by itself, where standard error is a terminal; -q hides it"
_DELETE = "--delete deletes what only the target has, after all copies"
_FILTER = "--include and --exclude choose files, and may be repeated"
_ALWAYS = "what is below a directory is always taken"
_LINKS = "symbolic links are skipped"
_DISK = "this is an option of the disk: 'jtc-storage disks' shows where it is configured"
_LAYERS = "the layers 'retry', 'timeout' and 'limit' do this, in the configuration of the disk"
_HEADERS = "--type, --cache-control and --metadata NAME=VALUE are of the files that are copied"
_PERSON = "--dry-run shows what would be done; deletions are asked for"
_COMBINED = "--combined FILE writes a line for each file, with its sign"
_AUTOMATIC = "this needs no option"

_FIND = "'find' chooses files: --name, --size, --newer, --older"

_OPTIONS = {
    "--absolute": "'find' writes whole paths",
    "--acl": "--visibility public|private is of new files",
    "--archive": _ALWAYS,
    "--buffer-size": _AUTOMATIC,
    "--checkers": _AUTOMATIC,
    "--contimeout": _LAYERS,
    "--content-type": "--type TYPE is the content type",
    "--copy-links": _LINKS,
    "--create-empty-src-dirs": "directories without files are not copied",
    "--delete-after": _DELETE,
    "--delete-before": _DELETE,
    "--delete-during": _DELETE,
    "--delete-excluded": "what is excluded is never deleted",
    "--differ": _COMBINED,
    "--dirs-only": "'find --type d' lists directories",
    "--endpoint-url": _DISK,
    "--exclude-from": _FILTER,
    "--exclude-if-present": _FILTER,
    "--fast-list": _AUTOMATIC,
    "--files-only": "'find --type f' lists files",
    "--filter": _FILTER,
    "--filter-from": _FILTER,
    "--format": _JSON,
    "--header-upload": _HEADERS,
    "--human-readable": _AUTOMATIC,
    "--include-from": _FILTER,
    "--interactive": _PERSON,
    "--links": _LINKS,
    "--log-file": "errors go to standard error: 2> FILE",
    "--log-level": "-v writes a line for each file, --debug tracebacks",
    "--low-level-retries": _LAYERS,
    "--match": _COMBINED,
    "--metadata-set": _HEADERS,
    "--missing-on-dst": _COMBINED,
    "--missing-on-src": _COMBINED,
    "--multi-thread-streams": _AUTOMATIC,
    "--no-progress": _PROGRESS,
    "--no-traverse": _AUTOMATIC,
    "--profile": _DISK,
    "--progress": _PROGRESS,
    "--recursive": _ALWAYS,
    "--region": _DISK,
    "--retries": _LAYERS,
    "--stats": _PROGRESS,
    "--stats-one-line": _PROGRESS,
    "--storage-class": _DISK,
    "--timeout": _LAYERS,
    "--tpslimit": _LAYERS,
    "-I": "what differs is replaced; --checksum finds what has the same size and time",
    "-L": _LINKS,
    "-M": _HEADERS,
    "-P": _PROGRESS,
    "-R": _ALWAYS,
    "-a": _ALWAYS,
    "-c": "--checksum compares checksums",
    "-i": _PERSON,
    "-l": _LINKS,
    "-r": _ALWAYS,
}

_CHOOSING = {
    "--exclude",
    "--files-from",
    "--filter",
    "--include",
    "--max-age",
    "--max-size",
    "--min-age",
    "--min-size",
}


def option_note(command: str, option: str) -> str:
    """Return what does here what an option does in another program; empty if nothing is known.

    Args:
        command: The name of the command that the option was given to.
        option: The option, which the command does not have.
    """
    if command in {"find", "ls", "du", "tree", "rm"} and option in _CHOOSING:
        return _FIND
    if command == "mv" and option in _CHOOSING:
        return "'cp' takes it, and 'rm' deletes"
    if option in {"--s3-acl", "--gcs-object-acl"}:
        return _OPTIONS["--acl"]
    if option.startswith(("--s3-", "--azureblob-", "--gcs-", "--sftp-")):
        return _DISK
    return _OPTIONS.get(option, "")
