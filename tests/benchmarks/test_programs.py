"""What is measured of a program that is run."""

import sys
from pathlib import Path

import pytest
from programs import Step, equally, run, steps

STORE = {
    "bucket": "bucket",
    "region": "us-east-1",
    "endpoint_url": "http://127.0.0.1:1",
    "access_key": "key",
    "secret_key": "secret",
}
PARENT = """
import subprocess, sys
script = "import time; held = bytearray(100 * 1024**2); time.sleep(0.3); print(len(held))"
subprocess.run([sys.executable, "-c", script], check=True)
"""


async def test_run_counts_memory_of_what_a_program_starts():
    found = await run([sys.executable, "-c", PARENT], {})
    assert found.output == b"104857600\n"
    assert 100 < found.memory < 200
    assert found.wall > 0.3
    assert 0 < found.cpu < 10


async def test_run_raises_what_a_program_said():
    with pytest.raises(RuntimeError, match="no such tree"):
        await run([sys.executable, "-c", "import sys; sys.exit('no such tree')"], {})


@pytest.mark.parametrize("who", ["rclone", "s5cmd", "aws s3"])
def test_steps_do_the_same_again_when_nothing_has_changed(who):
    found = steps(who, STORE, Path("/tree"), Path("/back"))
    assert found[Step.UP] == found[Step.AGAIN] != found[Step.DOWN]


def test_steps_of_equal_programs_have_as_many_files_at_once():
    found = steps(equally("rclone"), STORE, Path("/tree"), Path("/back"))[Step.UP]
    assert found[found.index("--transfers") + 1] == found[found.index("--checkers") + 1] == "32"
