"""Ask a server with somebody else's client; runs in that client's environment, not in the tests'.

    python clients.py (tritonclient|kserve) < {"url": …, "model": …, "inputs": …} > answers

Prints what the client took the answers for, by the name of what was tried.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np

TYPES = {"FP32": "float32", "FP64": "float64", "INT64": "int64", "INT8": "int8", "UINT16": "uint16"}
TYPES |= {"FP16": "float16", "BOOL": "bool", "BYTES": "object"}

Asked = dict[str, Any]


def array(tensor: dict[str, Any]) -> np.ndarray:
    """Return a tensor's values; as numpy has it, a missing number is NaN, a missing text empty."""
    values = tensor["data"]
    if tensor["datatype"] == "BYTES":
        values = [value or "" for value in values]
    elif tensor["datatype"].startswith("FP"):
        values = [float("nan") if value is None else value for value in values]
    return np.array(values, TYPES[tensor["datatype"]]).reshape(tensor["shape"])


def triton(asked: Asked) -> dict[str, Any]:
    """Ask with tritonclient."""
    from tritonclient import http

    client = http.InferenceServerClient(asked["url"].removeprefix("http://"))
    name = asked["model"]
    found: dict[str, Any] = {}
    metadata = client.get_model_metadata(name)
    found["about"] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready(name),
        "version ready": client.is_model_ready(name, metadata["versions"][0]),
        "other model ready": client.is_model_ready("other"),
        "server": client.get_server_metadata(),
        "model": metadata,
    }

    def inputs(binary: bool) -> list[Any]:
        made = []
        for each in asked["inputs"]:
            tensor = http.InferInput(each["name"], each["shape"], each["datatype"])
            # As JSON it writes NaN, which JSON does not have.
            missing = each["datatype"].startswith("FP") and None in each["data"]
            tensor.set_data_from_numpy(array(each), binary_data=binary or missing)
            made.append(tensor)
        return made

    def told(result: Any) -> dict[str, Any]:
        response = result.get_response()
        values = {
            each["name"]: result.as_numpy(each["name"]).tolist() for each in response["outputs"]
        }
        return {"id": response["id"], "version": response["model_version"], "outputs": values}

    wanted = [
        http.InferRequestedOutput("probability", binary_data=False),
        http.InferRequestedOutput("prediction", binary_data=True),
    ]
    found["json"] = told(client.infer(name, inputs(False), request_id="r-1"))
    found["binary"] = told(client.infer(name, inputs(True), request_id="r-2"))
    found["mixed"] = told(client.infer(name, inputs(True), outputs=wanted, request_id="ü✈"))
    found["version"] = told(client.infer(name, inputs(True), metadata["versions"][0]))
    handles = [client.async_infer(name, inputs(True), request_id=f"a-{i}") for i in range(5)]
    found["async"] = [told(handle.get_result()) for handle in handles]
    try:
        client.infer(name, inputs(True)[1:])
    except Exception as error:
        found["error"] = [type(error).__name__, str(error)]
    return found


async def kserve(asked: Asked) -> dict[str, Any]:
    """Ask with kserve's client for REST."""
    from kserve import InferenceRESTClient, InferInput, InferRequest
    from kserve.inference_client import RESTConfig
    from kserve.protocol.infer_type import RequestedOutput

    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    url, name = asked["url"], asked["model"]
    found: dict[str, Any] = {}
    found["about"] = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model ready": await client.is_model_ready(url, name),
    }

    def request(binary: bool, **others: Any) -> Any:
        made = []
        for each in asked["inputs"]:
            tensor = InferInput(each["name"], each["shape"], each["datatype"])
            if binary:
                tensor.set_data_from_numpy(array(each), binary_data=True)
            else:
                tensor.data = each["data"]
            made.append(tensor)
        return InferRequest(model_name=name, infer_inputs=made, **others)

    def told(result: Any) -> dict[str, Any]:
        values = {
            each.name: each.as_numpy().reshape(each.shape).tolist() for each in result.outputs
        }
        return {"id": result.id, "outputs": values}

    wanted = [RequestedOutput("probability"), RequestedOutput("prediction", {"binary_data": True})]
    for what, sent in {
        "json": request(False, request_id="r-1"),
        "binary": request(True, request_id="r-2", parameters={"binary_data_output": True}),
        "mixed": request(True, request_id="ü✈", request_outputs=wanted),
    }.items():
        found[what] = told(await client.infer(url, sent, model_name=name))
    try:
        await client.infer(url, {"inputs": []}, model_name=name)
    except Exception as error:
        found["error"] = [type(error).__name__, str(error)]
    await client.close()
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    if sys.argv[1] == "tritonclient":
        print(json.dumps(triton(asked), default=bytes.decode))
    else:
        print(json.dumps(asyncio.run(kserve(asked))))
