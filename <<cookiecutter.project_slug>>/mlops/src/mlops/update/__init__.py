"""A newer template for a project that has moved on: see mlops/docs/update.md."""
