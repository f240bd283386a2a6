"""Release of an aiohttp session whose event loop was closed without `shutdown_asyncgens`.

No public function closes a session without its loop. So this file, and no other, uses private
attributes of other libraries, those of aiohttp 3.12 to 3.14 and of Python 3.11 to 3.14:

* `BaseConnector._conns` and `BaseConnector._acquired` of aiohttp: the pooled connections and those
  in use. Nothing public lists them.
* `BaseConnector._close` of aiohttp: marks the connector as closed and cancels its timers, so that
  its `__del__` does not report it. The public `close` may create a task in the loop.
* `BaseConnector._loop` of aiohttp: whether the loop is closed. `ClientSession.loop` is deprecated.
* `_ssl_protocol` and `_transport` of asyncio's TLS transports: the transport of the socket below.
* `_call_connection_lost` of asyncio's transports: the last step of `close`, which closes the
  socket. `close` itself schedules it in the loop.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    import aiohttp

__all__ = ["discard_session"]


def discard_session(
    session: aiohttp.ClientSession, responses: Iterable[aiohttp.ClientResponse] = ()
) -> None:
    """Close the connections of a session whose event loop does not run.

    In a loop that is not closed, they close when it runs again.

    Args:
        session: The session, which may be closed.
        responses: Those whose bodies are not read to their end; each would warn that it is open.
    """
    connector = session.connector
    session.detach()
    if connector is None:
        return
    pooled = [protocol for pool in connector._conns.values() for protocol, *_ in pool]  # noqa: SLF001
    # A connection that is being made has a placeholder there, without a transport.
    transports = [
        getattr(protocol, "transport", None)
        for protocol in (*pooled, *connector._acquired)  # noqa: SLF001
    ]
    # The futures that it cancels may have callbacks, which a closed loop refuses.
    with contextlib.suppress(RuntimeError):
        connector._close()  # noqa: SLF001
    for response in responses:
        connection = response.connection
        with contextlib.suppress(RuntimeError):
            response.close()
        # In a closed loop that leaves the connection, which is closed already, to warn.
        if connection is not None:
            connection.close()
    if connector._loop.is_closed():  # noqa: SLF001
        for transport in transports:
            if transport is not None:
                _close_socket(transport)


def _close_socket(transport: asyncio.Transport) -> None:
    # The protocols report to the loop, which refuses that after it is closed: the socket is closed
    # all the same.
    with contextlib.suppress(RuntimeError):
        transport.close()
    below: object = transport
    while (tls := getattr(below, "_ssl_protocol", None)) is not None:
        below = tls._transport  # noqa: SLF001
    finish = getattr(below, "_call_connection_lost", None)
    if finish is not None:
        with contextlib.suppress(RuntimeError):
            finish(None)
