"""Removal of secrets from tracebacks."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from jtc.storage.driver_support.traceback_scrubbing import ScrubbedLocals, scrub_error

SECRET = "planted-secret"


def shown(error: BaseException) -> str:
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(report.format())


def fail(*, cause: bool = False) -> None:
    secret = SECRET  # noqa: F841
    if not cause:
        raise ValueError("failed")
    try:
        fail()
    except ValueError as error:
        raise KeyError("again") from error


def by_function(call) -> None:
    try:
        call()
    except Exception as error:
        scrub_error(error)
        raise


def by_block(call) -> None:
    with ScrubbedLocals():
        call()


def fail_in_group() -> None:
    errors = []
    for _ in range(2):
        try:
            fail(cause=True)
        except KeyError as error:
            errors.append(error)
    raise ExceptionGroup("two", errors)


@pytest.mark.parametrize("scrubbed", [by_function, by_block])
@pytest.mark.parametrize("call", [fail, lambda: fail(cause=True), fail_in_group])
def test_scrubbing_removes_variables_of_errors_causes_and_groups(scrubbed, call):
    with pytest.raises(Exception) as plain:
        call()
    assert SECRET in shown(plain.value)
    with pytest.raises(Exception) as caught:
        scrubbed(call)
    assert SECRET not in shown(caught.value)
    assert "in fail" in shown(caught.value)


@pytest.mark.parametrize("scrubbed", [by_function, by_block])
def test_scrubbing_keeps_an_error_that_a_caller_handles(scrubbed):
    def handle() -> None:
        try:
            fail()
        except ValueError:
            scrubbed(lambda: fail(cause=True))

    with pytest.raises(KeyError) as caught:
        handle()
    earlier = caught.value.__cause__.__context__
    while earlier is not None and SECRET not in shown(earlier):
        earlier = earlier.__context__
    assert isinstance(earlier, ValueError)


async def test_scrub_error_keeps_an_error_that_an_awaiting_function_handles():
    async def later() -> None:
        await asyncio.sleep(0)
        by_function(fail)

    async def handle() -> None:
        try:
            fail()
        except ValueError:
            await later()

    with pytest.raises(ValueError, match="failed") as caught:
        await handle()
    kept = caught.value.__context__
    assert kept is not None
    assert SECRET in shown(kept)
    kept.__traceback__ = caught.value.__context__ = None
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize("depth", [1, 3])
def test_scrub_error_works_in_any_function_below_the_except_block(depth):
    def deeper(error: BaseException, left: int) -> None:
        if left:
            deeper(error, left - 1)
        else:
            scrub_error(error)

    def catch() -> None:
        try:
            fail(cause=True)
        except KeyError as error:
            deeper(error, depth)
            raise

    with pytest.raises(KeyError) as caught:
        catch()
    assert SECRET not in shown(caught.value)


def test_scrub_error_calls_also_with_each_error():
    seen: list[BaseException] = []
    with pytest.raises(KeyError) as caught:
        fail(cause=True)
    scrub_error(caught.value, seen.append)
    assert seen == [caught.value, caught.value.__cause__]


def test_scrub_error_accepts_an_error_that_was_never_raised():
    seen: list[BaseException] = []
    error = ValueError()
    scrub_error(error, seen.append)
    assert seen == [error]
