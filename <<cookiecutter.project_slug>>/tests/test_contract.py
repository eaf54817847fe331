"""Your YAML files are right, fit one another, and your data keeps the contract."""

from pathlib import Path

import pyarrow as pa

from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.learning import metrics
from mlops.paths import STATEMENT
from mlops.pipeline import validate
from mlops.statement import load_statement


def test_contract_suits_the_task(params: Params, contract: Contract) -> None:
    contract.check_task(params.task)


def test_gates_are_on_metrics_of_the_task(params: Params) -> None:
    assert params.gates.keys() <= {*metrics.names(params.task, params.evaluate.value)}


def test_what_is_said_of_the_model_can_be_read() -> None:
    """How much of it must be there, the environments say: `mlops status`."""
    path = Path(__file__).resolve().parent.parent / STATEMENT
    assert not path.exists() or load_statement(path)


def test_a_sample_of_the_source_keeps_the_contract(sample: pa.Table, contract: Contract) -> None:
    violations = validate.check(sample.to_pandas(), contract)
    assert not violations, validate.table(violations)
