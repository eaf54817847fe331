"""Where things are, from the root of the project: what people edit, and what stages hand on."""

from pathlib import Path

PARAMS = Path("params.yaml")
CONTRACT = Path("contract.yaml")
STATEMENT = Path("model.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")

SNAPSHOT = Path("data/raw/snapshot.parquet")
PROVENANCE = Path("data/raw/provenance.json")
VALIDATION = Path("reports/validation.json")
PROFILE = Path("reports/profile.json")
SPLIT = Path("reports/split.json")
PARTS = {name: Path(f"data/split/{name}.parquet") for name in ("train", "validation", "test")}
CANDIDATE = Path("models/candidate.joblib")
MODEL = Path("models/model.joblib")
TRAINING_LOG = Path("reports/train")
METRICS = Path("reports/metrics.json")
FOLDS = Path("reports/folds.json")
CAVEATS = Path("reports/caveats.json")
SLICES = Path("reports/slices.json")
PREDICTIONS = Path("data/predictions.parquet")
PLOTS = Path("reports/plots")
CACHE = Path(".dvc/cache")
PLOT_TEMPLATES = Path(".dvc/plots")
CANDIDATE_ONNX = Path("models/candidate.onnx")
ONNX = Path("models/model.onnx")
PARITY = Path("reports/parity.json")
REPORT = Path("build/report")
RELEASE = Path("build/release")
MONITOR = Path("build/monitor")
RETRAIN = Path("build/retrain")
