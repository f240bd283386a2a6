"""The proxy that makes a store far away. Times are lower bounds: a busy machine is only later."""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from distance_proxy import HOST, DistanceProxy, ceiling, compiler, exchanges

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or compiler() is None,
    reason="needs Linux, and a C compiler: cc or ziglang",
)

MIB = 1024 * 1024
PATIENCE = 20


@contextmanager
def path_of(**options: float) -> Iterator[tuple[socket.socket, socket.socket, DistanceProxy]]:
    """Yield both ends of a connection through a proxy."""
    with (
        closing(socket.create_server((HOST, 0))) as server,
        DistanceProxy(server.getsockname()[1], **options) as proxy,
        closing(socket.create_connection((HOST, proxy.port), PATIENCE)) as near,
    ):
        server.settimeout(PATIENCE)
        with closing(server.accept()[0]) as far:
            far.settimeout(PATIENCE)
            yield near, far, proxy


def reset(connection: socket.socket) -> None:
    """Close it so that the other end sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the other end's half is closed."""
    return b"".join(iter(lambda: connection.recv(MIB), b""))


def memory_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_distance_proxy_delays_a_connection_and_each_direction():
    begun = time.monotonic()
    with path_of(round_trip=30) as (near, far, _):
        near.sendall(b"question")
        assert time.monotonic() - begun >= 0.030
        assert far.recv(100) == b"question"
        assert time.monotonic() - begun >= 0.045
        far.sendall(b"answer")
        assert near.recv(100) == b"answer"
        assert time.monotonic() - begun >= 0.060


def test_distance_proxy_limits_throughput_of_each_direction():
    with path_of(throughput=20) as (near, far, _):
        for sender, receiver in ((near, far), (far, near)):
            begun = time.monotonic()
            sending = threading.Thread(target=sender.sendall, args=(bytes(2_000_000),))
            sending.start()
            left = 2_000_000
            while left:
                left -= len(receiver.recv(MIB))
            sending.join()
            assert time.monotonic() - begun >= 0.100


@pytest.mark.parametrize("options", [{}, {"round_trip": 5}, {"round_trip": 5, "throughput": 50}])
def test_distance_proxy_keeps_content_of_both_directions(options):
    contents = [os.urandom(3 * MIB), os.urandom(3 * MIB)]
    with path_of(**options) as (near, far, _):

        def send(connection: socket.socket, content: bytes) -> None:
            for start in range(0, len(content), 70_001):
                connection.sendall(content[start : start + 70_001])
            connection.shutdown(socket.SHUT_WR)

        sending = [
            threading.Thread(target=send, args=pair)
            for pair in zip((near, far), contents, strict=True)
        ]
        found: list[bytes] = []
        sending.append(threading.Thread(target=lambda: found.append(all_of(far))))
        for thread in sending:
            thread.start()
        assert all_of(near) == contents[1]
        for thread in sending:
            thread.join()
        assert found == [contents[0]]


def test_distance_proxy_half_closed_connection_still_answers():
    with path_of(round_trip=2) as (near, far, _):
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        assert all_of(far) == b"question"
        far.sendall(b"answer")
        far.close()
        assert all_of(near) == b"answer"


@pytest.mark.parametrize("who", ["client", "server"])
def test_distance_proxy_reset_reaches_the_other_end(who):
    with path_of(round_trip=2) as (near, far, _):
        gone, left = (near, far) if who == "client" else (far, near)
        gone.sendall(b"before")
        assert left.recv(100) == b"before"
        reset(gone)
        with pytest.raises(ConnectionResetError):
            left.recv(100)


def test_distance_proxy_sender_hears_that_the_receiver_is_gone():
    with path_of(round_trip=2) as (near, far, _):
        far.close()
        with pytest.raises(ConnectionError):
            near.sendall(bytes(256 * MIB))


def test_distance_proxy_refused_connection_is_reset():
    with closing(socket.create_server((HOST, 0))) as server:
        port = server.getsockname()[1]
    with (
        DistanceProxy(port, round_trip=2) as proxy,
        closing(socket.create_connection((HOST, proxy.port), PATIENCE)) as near,
        pytest.raises(ConnectionResetError),
    ):
        near.recv(100)


def test_distance_proxy_slow_reader_holds_little_memory():
    with path_of(round_trip=40, throughput=100) as (near, far, proxy):
        near.settimeout(0.1)
        sent = 0
        while sent < 64 * MIB:
            try:
                sent += near.send(bytes(MIB))
            except TimeoutError:
                break
        assert sent < 64 * MIB
        # The queue: 100 MB/s for 40 ms, and two pieces.
        assert memory_of(proxy.pid) < 12 * MIB
        near.shutdown(socket.SHUT_WR)
        assert len(all_of(far)) == sent


def test_distance_proxy_slow_reader_delays_no_other_connection():
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((HOST, 0)))
        proxy = stack.enter_context(DistanceProxy(server.getsockname()[1], throughput=100))
        slow = stack.enter_context(socket.create_connection((HOST, proxy.port), 0.05))
        stack.enter_context(server.accept()[0])
        with pytest.raises(TimeoutError):
            slow.sendall(bytes(64 * MIB))
        near = stack.enter_context(socket.create_connection((HOST, proxy.port), PATIENCE))
        far = stack.enter_context(server.accept()[0])
        near.sendall(b"question")
        assert far.recv(100) == b"question"


def test_distance_proxy_counts_connections_and_bytes():
    with path_of(round_trip=1) as (near, far, proxy):
        near.sendall(bytes(1000))
        far.sendall(bytes(500))
        assert len(near.recv(500, socket.MSG_WAITALL)) == 500
        assert len(far.recv(1000, socket.MSG_WAITALL)) == 1000
        assert proxy.figures() == {"connections": 1, "bytes": 1500}
        assert proxy.figures() == {"connections": 0, "bytes": 0}


def test_distance_proxy_ends_with_its_parent():
    script = (
        "import os, signal, sys; from distance_proxy import DistanceProxy\n"
        "with DistanceProxy(9) as proxy:\n"
        "    print(proxy.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    support = Path(__file__).parents[1] / "support"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(support)},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{int(done.stdout)}/exe").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("upload", [False, True], ids=["download", "upload"])
def test_ceiling_is_below_what_the_path_can_carry(upload):
    found = ceiling(4, 2_000_000, round_trip=10, throughput=20, upload=upload)
    assert 0 < found <= 4 * 20e6


def test_exchanges_take_a_round_trip_each():
    found = exchanges(4, 12, 4096, round_trip=10)
    assert 0 < found <= 4 / 0.010
