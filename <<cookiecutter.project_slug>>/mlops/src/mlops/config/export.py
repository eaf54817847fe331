"""What the model is exported to, beside ONNX."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .section import Finite, Positive, Section

Loss = Annotated[Finite, Field(ge=0)]


class Bounds(Section):
    """What a model may take of a microcontroller, in units of 1,024 bytes.

    Attributes:
        flash_kb: of its flash.
        ram_kb: of its memory, for a call.
    """

    flash_kb: Positive | None = None
    ram_kb: Positive | None = None


class C(Bounds):
    """One C99 file and its header.

    Attributes:
        table_kb: what its tables may take of flash, in units of 1,024 bytes.
    """

    table_kb: Positive | None = None


class Int8(Section):
    """Weights of eight bits.

    Attributes:
        metric_loss: how much worse than the ONNX model's each deciding metric may be on the test
            rows, in its unit, at the far end of its interval.
    """

    metric_loss: Loss


class Tflite(Bounds):
    """TensorFlow Lite."""


class Coreml(Section):
    """Core ML."""


class Targets(Section):
    """What there is to export to; None for what is not asked for."""

    model_config = ConfigDict(**Section.model_config, populate_by_name=True)

    c: C | None = None
    coreml: Coreml | None = None
    onnx_int8: Annotated[Int8 | None, Field(alias="onnx-int8")] = None
    tflite: Tflite | None = None
    tflite_int8: Annotated[Int8 | None, Field(alias="tflite-int8")] = None

    @property
    def wanted(self) -> dict[str, Section]:
        """What is asked for, by its name in params.yaml."""
        named = {
            field.alias or name: getattr(self, name)
            for name, field in type(self).model_fields.items()
        }
        return {name: settings for name, settings in named.items() if settings is not None}


class Export(Section):
    """The model for other machines than a server."""

    targets: Targets = Targets()
