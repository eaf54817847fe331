"""Settings: from the environment or the command line, with one line for each mistake."""

from pathlib import Path

import pytest

from mlops.errors import InputError
from mlops.serving.settings import Settings, load_settings


def test_what_is_given_goes_before_the_environment() -> None:
    environment = {"MLOPS_PORT": "1", "MLOPS_LOG_SAMPLE": "0.5", "MLOPS_MODEL": "a.onnx"}
    found = load_settings({"port": "2"}, environment)
    assert found == Settings(port=2, log_sample=0.5, model=Path("a.onnx"))


def test_other_variables_are_left_alone() -> None:
    assert load_settings({}, {"MLOPS_DEBUG": "1", "PORT": "1"}) == Settings()


def test_each_mistake_is_a_line() -> None:
    wrong = {"MLOPS_PORT": "70000", "MLOPS_LOG_SAMPLE": "2", "MLOPS_MAX_ROWS": "many"}
    with pytest.raises(InputError) as told:
        load_settings({}, wrong)
    lines = str(told.value).splitlines()
    assert [line.split(":")[0] for line in lines] == sorted(
        wrong, key=["MLOPS_PORT", "MLOPS_MAX_ROWS", "MLOPS_LOG_SAMPLE"].index
    )
    assert lines[0].endswith("<= 65535, not '70000'")
