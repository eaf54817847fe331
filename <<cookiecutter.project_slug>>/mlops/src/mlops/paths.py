"""Where things are, from the root of the project: what people edit, and what stages hand on."""

from pathlib import Path

PARAMS = Path("params.yaml")
CONTRACT = Path("contract.yaml")
FEATURES = Path("features.yaml")
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
CHOSEN = TRAINING_LOG / "params.yaml"
PRUNING = Path("reports/train/pruning.json")
METRICS = Path("reports/metrics.json")
INTERVALS = Path("reports/intervals.json")
OUTCOMES = Path("reports/outcomes.json")
IMPORTANCE = Path("reports/importance.json")
DEPENDENCE = Path("reports/dependence.json")
FOLDS = Path("reports/folds.json")
CAVEATS = Path("reports/caveats.json")
SLICES = Path("reports/slices.json")
NAIVE = Path("reports/naive.json")
FAIRNESS = Path("reports/fairness.json")
PREDICTIONS = Path("data/predictions.parquet")
PLOTS = Path("reports/plots")
CACHE = Path(".dvc/cache")
PLOT_TEMPLATES = Path(".dvc/plots")
CANDIDATE_ONNX = Path("models/candidate.onnx")
ONNX = Path("models/model.onnx")
PARITY = Path("reports/parity.json")
# The model card, for whoever looks at the files, and as a page.
CARD = Path("reports/model-card.md")
CARD_PAGE = Path("reports/model-card.html")
EXPORT = Path("models/export")
EXPORT_REPORTS = Path("reports/export")
REPORT = Path("build/report")
DATA_PAGE = Path("build/data.html")
RELEASE = Path("build/release")
FETCHED = Path("build/fetch")
MONITOR = Path("build/monitor")
SEARCH = Path("build/search")
# What was tried, what came of it, and what was concluded: a file an experiment, and a page.
EXPERIMENTS = Path("docs/experiments")
EXPERIMENTS_PAGE = EXPERIMENTS / "README.md"
RETRAIN = Path("build/retrain")
