"""How closely the ONNX model follows."""

from .section import Count, Positive, Section


class Verify(Section):
    """How closely the ONNX model must follow the scikit-learn one."""

    tolerance: Positive
    edge_rows: Count
