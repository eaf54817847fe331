"""Keep the trained scikit-learn pipeline as a model of MLflow: mlflow_save.py PIPELINE FOLDER."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import sys

import joblib
import mlflow.sklearn

if __name__ == "__main__":
    pipeline, folder = sys.argv[1:]
    mlflow.sklearn.save_model(
        joblib.load(pipeline),
        folder,
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
    )
