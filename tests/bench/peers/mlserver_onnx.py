"""MLServer at its best: a runtime written by hand around onnxruntime, without its codecs."""

# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from onnx_row import Model


class Onnx(MLModel):
    """Answers with the probability of each class."""

    async def load(self) -> bool:
        """Load the model."""
        self._onnx = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request of the Open Inference Protocol."""
        columns = {each.name: each.data.root for each in payload.inputs}
        found = self._onnx.probability(columns)
        output = ResponseOutput(
            name="probability",
            shape=list(found.shape),
            datatype="FP32",
            data=found.reshape(-1).tolist(),
        )
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
