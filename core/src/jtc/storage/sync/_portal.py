"""Event loop of the sync API, in one thread until the process ends."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextlib
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from jtc.storage.driver_support.error_translation import has_loop, no_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

__all__ = ["CallersChunks", "Portal", "portal", "run"]

P = ParamSpec("P")
T = TypeVar("T")

_MOST_WORKERS = 512
"""A call may hold a worker that waits for another call: content that is read from a disk. With
asyncio's default (six on two processors), six such calls would wait for each other."""

_FORK_PATIENCE = 1.0
"""How long a fork waits for the loop to be between two steps, in seconds."""

_EXIT_PATIENCE = 5.0
"""How long the end of the process waits for objects that are open, in seconds."""


class _Open(Protocol):
    async def release(self) -> None: ...


class Portal:
    """Runs coroutines for threads that have no event loop, all in one loop in one daemon thread.

    The first call starts the thread. Resources that drivers have per event loop, such as a client's
    connections, are made once for all callers. A call runs in a copy of its caller's context
    (`contextvars`).

    Attributes:
        left_open: Open objects, which are closed at the end of the process.
    """

    def __init__(self) -> None:
        self._reset()
        self._abandoned: list[asyncio.AbstractEventLoop | None] = []

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.left_open: weakref.WeakSet[_Open] = weakref.WeakSet()
        self._background: set[asyncio.Task[Any]] = set()
        self._after_fork: threading.Event | None = None
        self._ended = False

    def run(self, coroutine: Coroutine[Any, Any, T], source: object = None) -> T:
        """Run a coroutine to its end and return its result, or raise its error.

        `CallersChunks` that it reads, its `source`, are iterated in this thread meanwhile.

        An interruption of the wait, such as KeyboardInterrupt, cancels the coroutine, waits for its
        end, and is then raised. A second interruption does not wait.

        Raises:
            RuntimeError: An event loop runs in this thread and would be blocked, or the process
                ends.
            StorageUnavailableException: The loop's thread cannot be started.
        """
        try:
            self._check_thread()
            loop = self._running_loop()
        except BaseException:
            coroutine.close()
            raise
        call = _Call(coroutine)
        if isinstance(source, CallersChunks):
            source.call = call
        return call.result(loop)

    def run_here(
        self,
        method: Callable[P, Coroutine[Any, Any, T]],
        /,
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Call a method that usually waits for nothing in this thread, even in an event loop.

        If it does wait, or needs a loop where none runs, it is called again by `run`. So it must
        change nothing.

        Raises:
            RuntimeError: It waits, and an event loop runs in this thread and would be blocked.
        """
        with contextlib.suppress(Exception):  # which the method raises too
            _ = method.__self__.driver  # type: ignore[attr-defined] # imports it, without waiting
        # An iterator could be read only once.
        given: Any = [list(each) if isinstance(each, Iterator) else each for each in arguments]
        coroutine = method(*given, **options)
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        except Exception as error:
            if has_loop() or not _lacked_loop(error):
                raise
        else:
            with contextlib.suppress(RuntimeError):  # its cleanup waits too
                coroutine.close()
        if self._would_block():
            raise RuntimeError(
                f"{method.__name__}() has to wait for something here, and would block the event "
                f"loop of this thread: write 'await disk.{method.__name__}(...)', or call this in "
                "another thread, by asyncio.to_thread()"
            )
        return self.run(method(*given, **options))

    def finish(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine that closes something, like `run`, or `schedule` it in an event loop.

        The garbage collector closes files too, in any thread at any time.
        """
        if has_loop():
            self.schedule(coroutine)
        else:
            self.run(coroutine)

    def schedule(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine that closes something without waiting for it; its errors are dropped."""
        loop = self._loop
        try:
            if loop is None or self._ended:
                coroutine.close()
            else:
                loop.call_soon_threadsafe(self._begin_in_background, coroutine)
        except RuntimeError:  # the loop was closed meanwhile
            coroutine.close()

    def _begin_in_background(self, coroutine: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _check_thread(self) -> None:
        if _in_trio():
            raise RuntimeError(
                "Trio runs in this thread, and the sync API would block it: call this in another "
                "thread, by trio.to_thread.run_sync()"
            )
        if self._would_block() and _threads_are_greenlets():
            raise RuntimeError(
                "gevent has replaced the threads of this process by greenlets, so that the event "
                "loop of the sync API, and each of asyncio, runs in the only thread there is: use "
                "workers with real threads (gthread in gunicorn, threads in Celery), or "
                "gevent.monkey.patch_all(thread=False, select=False, socket=False, queue=False)"
            )
        if self._would_block():
            raise RuntimeError(
                "An event loop runs in this thread, and the sync API would block it: await the "
                "method of the disk itself ('await disk.get(...)', not 'disk.sync.get(...)'), or "
                "call this in another thread, by asyncio.to_thread()"
            )

    def _would_block(self) -> bool:
        """Return whether an event loop runs in this thread, other than a notebook's."""
        notebook = _in_notebook() and threading.current_thread() is not self._thread
        return (has_loop() and not notebook) or _in_trio()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is not None:
            return loop
        with self._lock:
            if self._ended:
                raise RuntimeError("The process ends: the sync API is closed")
            if self._loop is None:
                loop = asyncio.new_event_loop()
                loop.set_default_executor(
                    _Workers(_MOST_WORKERS, thread_name_prefix="jtc-storage-worker")
                )
                self._thread = threading.Thread(
                    target=self._serve, args=(loop,), name="jtc-storage-sync", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError as error:
                    loop.close()
                    raise no_thread(error) from error
                self._loop = loop
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._ended:
            # A task that raises one of these would end the loop of all callers.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                loop.run_forever()
        loop.close()

    def end(self) -> None:
        """Cancel all tasks, close all open objects, and end the thread, when the process ends."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = None
            if loop is None or thread is None:
                self._ended = True
                return
            closing = asyncio.run_coroutine_threadsafe(_close_all(list(self.left_open)), loop)
            with contextlib.suppress(TimeoutError):
                closing.result(_EXIT_PATIENCE)
            self._ended = True
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_EXIT_PATIENCE)

    def before_fork(self) -> None:
        """Pause the loop between two steps, so that the child inherits no lock that it holds."""
        self._lock.acquire()
        loop = self._loop
        self._after_fork = resume = threading.Event()
        if loop is None or threading.current_thread() is self._thread:
            return
        paused = threading.Event()

        def pause() -> None:
            paused.set()
            resume.wait()

        loop.call_soon_threadsafe(pause)
        paused.wait(_FORK_PATIENCE)

    def after_fork_in_parent(self) -> None:
        """Resume the loop.

        Only this is called where one thread forks while another imports this module.
        """
        resume, self._after_fork = self._after_fork, None
        if resume is not None:
            resume.set()
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Reset the portal: the thread exists in the parent only.

        The old loop is kept and never closed: it shares its poll set with the parent's loop, and
        closing it would remove the parent's connections.
        """
        self._abandoned.append(self._loop)
        self._reset()


class _Call(Generic[T]):
    """One coroutine on its way from a thread to the loop and back.

    The thread waits at a `SimpleQueue`: an exception from a signal handler can leave the lock of a
    `threading.Condition`, which futures and events use, acquired forever.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[None] | None = None
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._over = False
        self._left = False
        self._inbox: SimpleQueue[_Asked | None] = SimpleQueue()  # None: it is over
        self._asked: deque[_Asked] = deque(maxlen=1)  # one at a time: content is read in order

    def result(self, loop: asyncio.AbstractEventLoop) -> T:
        try:
            loop.call_soon_threadsafe(self._begin)
            while (asked := self._inbox.get()) is not None:
                asked.answer()
        except BaseException:
            # An interruption may come at any point, even before _begin() is scheduled.
            self._leave()
            if not self._over:
                loop.call_soon_threadsafe(self._give_up)
                while self._inbox.get() is not None:
                    pass
            raise
        if self._error is None:
            return self._results[0]
        try:
            raise self._error
        finally:
            self._error = None  # its traceback holds this frame
            del self

    def ask(self, make: Callable[[], bytes]) -> bytes | None:
        """Have the waiting thread make a chunk, for a worker; None at the end."""
        if has_loop():  # a pool that takes no more work: see `_Workers`
            return _made(make)
        asked = _Asked(make)
        self._asked.append(asked)
        self._inbox.put(asked)
        if self._left or self._over:
            asked.refuse()
        return asked.reply()

    def _leave(self) -> None:
        self._left = True
        for asked in list(self._asked):
            asked.refuse()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())
        self._task.add_done_callback(self._finish)

    # Raises nothing: a task's SystemExit would end the loop.
    async def _work(self) -> None:
        try:
            self._results.append(await self._coroutine)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._error = error

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._finish()

    def _finish(self, _task: object = None) -> None:
        # A task that is cancelled before its first step does not close it.
        self._coroutine.close()
        if not self._results and self._error is None:
            self._error = RuntimeError("The operation was aborted: the process ends")
        self._over = True
        self._inbox.put(None)


class _Asked:
    """A request of a worker for a chunk from the calling thread. The first reply counts."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._replies: SimpleQueue[bytes | Exception | None] = SimpleQueue()

    # A BaseException that is not an Exception interrupts the call, as during the wait.
    def answer(self) -> None:
        try:
            self._replies.put(_made(self._make))
        except Exception as error:
            self._replies.put(error)

    def refuse(self) -> None:
        self._replies.put(RuntimeError("The operation was aborted"))

    def reply(self) -> bytes | None:
        made = self._replies.get()
        if isinstance(made, Exception):
            raise made
        return made


class CallersChunks(Iterator[bytes]):
    """Content that is iterated in the calling thread, although a worker reads it.

    The iterable may depend on that thread: a database cursor, a lock that is held.

    Args:
        content: The content as the caller passed it.
    """

    def __init__(self, content: Iterable[bytes]) -> None:
        self._content = content
        self._chunks = iter(content)
        self.call: _Call[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)  # such as an upload's name

    def __next__(self) -> bytes:
        make = self._chunks.__next__
        chunk = _made(make) if self.call is None else self.call.ask(make)
        if chunk is None:
            raise StopIteration
        return chunk


def _made(make: Callable[[], bytes]) -> bytes | None:
    try:
        return make()
    except StopIteration:
        return None


class _Workers(ThreadPoolExecutor):
    """Workers that still run calls during the shutdown of the interpreter.

    The event loop closes files in worker threads, even after a pool refuses new calls.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError as error:
            # "can't start new thread": the call is queued already, for another worker.
            if "shutdown" not in str(error):
                raise
            done: Future[Any] = Future()
            try:
                done.set_result(fn(*args, **kwargs))
            except Exception as error:
                done.set_exception(error)
            return done


async def _close_all(left_open: list[_Open]) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for each in left_open:
        with contextlib.suppress(Exception):
            await each.release()
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.sleep(0)  # transports close one step later


def _lacked_loop(error: BaseException | None) -> bool:
    """Return whether an error may come from the lack of an event loop, if none runs."""
    while error is not None and not isinstance(error, RuntimeError):
        error = error.__cause__ or error.__context__
    return error is not None


def _in_trio() -> bool:
    """Return whether trio runs in this thread."""
    trio = sys.modules.get("trio")
    in_trio_run = getattr(getattr(trio, "lowlevel", None), "in_trio_run", None)
    return in_trio_run is not None and bool(in_trio_run())


def _threads_are_greenlets() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _in_notebook() -> bool:
    """Return whether IPython runs: in a notebook each cell runs inside an event loop."""
    return hasattr(builtins, "__IPYTHON__")


portal = Portal()
"""The portal of this process."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the event loop of the sync API, and return its result.

    Several operations of disks can so run at the same time: ``run(all_of_them())``, where
    ``all_of_them`` awaits `asyncio.gather`.

    Args:
        coroutine: The coroutine, which uses disks as async code does.

    Raises:
        RuntimeError: An event loop runs in this thread, and would be blocked.
        Exception: What the coroutine raises.
    """
    return portal.run(coroutine)


atexit.register(portal.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=portal.before_fork,
        after_in_parent=portal.after_fork_in_parent,
        after_in_child=portal.after_fork_in_child,
    )
