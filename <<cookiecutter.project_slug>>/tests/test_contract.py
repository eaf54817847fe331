"""contract.yaml and params.yaml are right, fit one another, and your data keeps the contract."""

import pyarrow as pa

from mlops import metrics
from mlops.config.params import Params
from mlops.contract import Contract
from mlops.pipeline import validate


def test_contract_suits_the_task(params: Params, contract: Contract) -> None:
    contract.check_task(params.task)


def test_gates_are_on_metrics_of_the_task(params: Params) -> None:
    assert params.gates.keys() <= {*metrics.names(params.task, params.evaluate.value)}


def test_a_sample_of_the_source_keeps_the_contract(sample: pa.Table, contract: Contract) -> None:
    violations = validate.check(sample.to_pandas(), contract)
    assert not violations, validate.table(violations)
