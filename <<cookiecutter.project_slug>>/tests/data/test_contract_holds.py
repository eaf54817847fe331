"""The project's own files: contract.yaml and params.yaml are right, fit one another, and the data
that the project is about keeps the contract."""

import pyarrow as pa

from <<cookiecutter.package_name>> import metrics
from <<cookiecutter.package_name>>.config import Params
from <<cookiecutter.package_name>>.contract import Contract
from <<cookiecutter.package_name>>.pipeline import validate


def test_contract_suits_the_task(own_params: Params, own_contract: Contract) -> None:
    own_contract.check_task(own_params.task)


def test_gates_are_on_metrics_of_the_task(own_params: Params) -> None:
    assert own_params.gates.keys() <= {*metrics.names(own_params.task)}


def test_a_sample_of_the_source_keeps_the_contract(
    sample: pa.Table, own_contract: Contract
) -> None:
    violations = validate.check(sample.to_pandas(), own_contract)
    assert not violations, validate.table(violations)
