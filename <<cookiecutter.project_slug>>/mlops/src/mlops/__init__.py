"""From raw data to a verified model: the stages of `dvc.yaml` and the `mlops` command."""
