"""The worker's loop: one job after the other, from a socket, within limits."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import traceback
from typing import Any

from .refusals import RefusedError

__all__ = ["main"]


def main(descriptor: int, limits: dict[str, Any]) -> None:
    """Answer jobs until the application's process closes its end of the socket.

    Args:
        descriptor: The socket.
        limits: ``memory``, the bytes of address space; ``svg``, whether SVG is read.
    """
    _limit(limits["memory"])
    with socket.socket(fileno=descriptor) as connection:
        try:
            from .decoding import allow_loaders  # noqa: PLC0415 - libvips comes under the limits

            allow_loaders(svg=limits["svg"])
        except Exception:
            _send(connection, {"failed": traceback.format_exc()}, [])
            return
        _send(connection, {"ready": True}, [])
        while (job := _receive(connection)) is not None:
            _answer(connection, *job)


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # The application handles its own signals, and closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Ends the process also where native code runs, and where the application has gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _answer(
    connection: socket.socket, descriptor: int, job: dict[str, Any], blobs: list[bytes]
) -> None:
    from .rendering import process  # noqa: PLC0415 - imports libvips

    signal.setitimer(signal.ITIMER_REAL, job["timeout"])
    contents: list[bytes] = []
    try:
        answer, contents = process(descriptor, job, blobs)
    except RefusedError as error:
        answer = {"refused": error.reason, "message": str(error)}
    except MemoryError:
        answer = {"refused": "memory", "message": "The image needs more memory than it may take"}
    except Exception:
        answer = {"failed": traceback.format_exc()}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(descriptor)
    _send(connection, answer, contents)


def _send(connection: socket.socket, answer: dict[str, Any], contents: list[bytes]) -> None:
    text = json.dumps({**answer, "contents": [len(content) for content in contents]}).encode()
    connection.sendall(len(text).to_bytes(4, "big") + text)
    for content in contents:
        connection.sendall(content)


def _receive(connection: socket.socket) -> tuple[int, dict[str, Any], list[bytes]] | None:
    """Return a job with its content's descriptor and its images, or None after the last one."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 1)
    if len(head) < 4 or not descriptors:  # noqa: PLR2004 - the length's bytes
        return None
    job = json.loads(_exactly(connection, int.from_bytes(head, "big")))
    return descriptors[0], job, [_exactly(connection, length) for length in job["lengths"]]


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return bytes(data)
