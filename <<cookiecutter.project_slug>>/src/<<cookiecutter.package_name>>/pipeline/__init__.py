"""One module a DVC stage, with the stage's name. Run one with `dvc repro STAGE`."""
