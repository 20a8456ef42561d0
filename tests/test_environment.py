"""What processes must agree in: seen once, and named where it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ablate import fingerprint
from ablate.environment import LIBRARIES, SHOWN, digest_of, environment, refuse_other, version_of
from ablate.errors import UserError
from ablate.stages import evaluated, prepared, sampled, trained

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

STAGES = (prepared, trained, sampled, evaluated)


def test_the_libraries_of_all_stages_must_agree() -> None:
    assert {library for stage in STAGES for library in stage.LIBRARIES} <= set(LIBRARIES)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_it_says_of_files_and_libraries_what_keys_say(stage: ModuleType) -> None:
    assert fingerprint.of_files(stage.SOURCES, stage.LIBRARIES).items() <= environment().items()


def test_a_process_keeps_what_it_saw_first(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1")
    first = digest_of(tmp_path / "code.py")
    (tmp_path / "code.py").write_text("a = 2")
    assert digest_of(tmp_path / "code.py") == first


def test_hidden_files_are_no_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "code-checkpoint.py").write_text("a = 0")
    (tmp_path / ".#code.py").symlink_to("user@host.1234")  # an editor's mark, which leads nowhere
    monkeypatch.setattr("ablate.environment.PACKAGE", tmp_path)
    assert {name for name in environment.__wrapped__() if name.endswith(".py")} == {"code.py"}
    monkeypatch.setattr("ablate.fingerprint.PACKAGE", tmp_path)
    assert fingerprint.of_files((".",)).keys() == {"code.py"}


def test_the_same_is_accepted() -> None:
    refuse_other(environment())


def test_what_differs_is_named() -> None:
    lost = {**environment(), "Python": "3.0", "text.py": "other", "gone.py": "older"}
    del lost["errors.py"]
    with pytest.raises(UserError) as error:
        refuse_other(lost)
    for words in ("Python is", "not 3.0", "text.py differs", "gone.py differs", "errors.py is there only"):
        assert words in error.value.what


def test_of_many_differences_some_are_named() -> None:
    with pytest.raises(UserError, match=rf", and {len(environment()) - SHOWN} more"):
        refuse_other(dict.fromkeys(environment(), "other"))


def test_a_library_that_is_not_installed_has_a_version_too() -> None:
    assert version_of("no-such-library") == "not installed"
