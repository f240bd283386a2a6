"""What a benchmark says where a library fails, and where the instrument is the limit."""

import asyncio

import pytest
from goals import GOALS, far, ratio
from measuring import NEAR, OURS, SHARE, Row, in_turns, peak_of
from page import goal_lines, tables_of

DOWNLOAD = "40 ms, 20 MB/s: download 256 MiB to a local file"


async def nothing() -> None:
    """Do nothing."""


async def fails() -> None:
    raise OSError("no such store")


async def test_in_turns_leaves_out_another_library_that_fails():
    row = await in_turns("row", {OURS: nothing, "other": fails, "third": nothing}, rounds=2)
    assert list(row.wall) == [OURS, "third"]
    assert [len(times) for times in row.wall.values()] == [2, 2]
    assert row.failed == {"other": "OSError: no such store"}
    assert "Without other in *row*: OSError: no such store" in tables_of({"suite/row": row})


async def test_in_turns_leaves_out_another_library_with_wrong_content():
    async def check(who: str) -> None:
        assert who == OURS, "other bytes"

    row = await in_turns("row", {OURS: nothing, "other": nothing}, rounds=1, between=check)
    assert list(row.wall) == [OURS]
    assert "other bytes" in row.failed["other"]


@pytest.mark.parametrize("who", ["first", f"{OURS}, by another way"])
async def test_in_turns_raises_where_ours_fails(who):
    with pytest.raises(OSError, match="no such store"):
        await in_turns("row", {"first": nothing} | {who: fails}, rounds=1)


def test_goal_lines_say_what_is_missing_of_a_suite():
    goals = [ratio("suite/row", "other", 1.0), ratio("elsewhere/row", "other", 1.0)]
    row = Row("row", wall={OURS: [1.0]})
    assert goal_lines(goals, {"suite/row": row})[2:] == [
        "| suite: row | other | 1.00 x |  | **not measured** |"
    ]


async def test_in_turns_times_each_round_of_ours_however_long_it_takes():
    async def slow() -> None:
        await asyncio.sleep(0.01)

    ways = {OURS: nothing, f"{OURS}, by another way": slow, "other": slow}
    row = await in_turns("row", ways, rounds=2, warm=False, patience=2)
    assert [len(times) for times in row.wall.values()] == [2, 2, 1]


@pytest.mark.parametrize(
    ("measured", "judged"),
    [(1.004, "met"), (1.006, "**missed**: bare calls take 0.90 x"), (0.5, "met")],
)
def test_goal_lines_compare_what_is_printed_and_name_the_limit(measured, judged):
    row = Row("row", wall={OURS: [measured], "other": [1.0], "bare calls": [0.9]})
    line = goal_lines([ratio("suite/row", "other", 1.0, bound="bare calls")], {"suite/row": row})[2]
    assert line.endswith(f"| {judged} |")


@pytest.mark.parametrize(
    ("share", "judged"),
    [(70.0, "met"), (71.0, "**certifies nothing**: 71 % of the proxy's ceiling")],
)
def test_goal_lines_certify_nothing_near_the_ceiling(share, judged):
    row = Row(DOWNLOAD, "ms", wall={OURS: [1.0], "other": [2.0]}, notes={SHARE: share})
    rows = {f"distance/{DOWNLOAD}": row}
    line = goal_lines([far("download 256 MiB", lambda name: ratio(name, "other", 0.6))], rows)[2]
    assert line.endswith(f"| 0.50 x | {judged} |")
    assert ("certifies nothing" in "\n".join(tables_of(rows))) == (share > 70)


def test_goal_lines_name_a_store_that_is_the_limit():
    row = Row(DOWNLOAD, "ms", wall={OURS: [1.0], "other": [1.0]}, notes={SHARE: 9.0, NEAR: 95.0})
    rows = {f"distance/{DOWNLOAD}": row}
    line = goal_lines([far("download 256 MiB", lambda name: ratio(name, "other", 0.6))], rows)[2]
    assert line.endswith("**missed**: the fastest takes 95 % of what the store does near |")


def test_tables_of_begins_a_table_for_each_heading():
    rows = {
        name: Row(name, wall={OURS: [1.0]}, table=table)
        for name, table in (("one", "First"), ("two", "Second"), ("three", "First"))
    }
    text = "\n".join(tables_of(rows))
    assert text.count("### ") == 2
    assert text.index("three") < text.index("### Second")


def test_goals_have_names_of_their_own():
    names = [(goal.work, goal.against) for goal in GOALS]
    assert len(set(names)) == len(names)


def test_peak_of_is_empty_where_the_script_fails(tmp_path, capfd):
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit('no such store')")
    assert peak_of(str(script)) == {}
    assert capfd.readouterr().err == "no such store\n"
