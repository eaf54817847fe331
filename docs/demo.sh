#!/usr/bin/env bash
# The whole story on one machine: `make demo`. Each command is shown before it runs, in a project baked for it.
set -euo pipefail

project=$1
drift=$PWD/docs/drift.py
# As on a machine without Docker, whatever this one runs: the server is a process.
export DOCKER_HOST=unix:///nowhere
uv run --only-group bake cookiecutter --no-input --output-dir "$(dirname "$project")" .
cd "$project"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { echo "\$ $*" && "$@"; }
mlops() { run uv run mlops "$@"; }
refused() { if "$@"; then echo "this should have been refused" && exit 1; fi; }
# What somebody does who agrees with what a command proposed.
merge() {
  branch=$(git for-each-ref --sort=-creatordate --count=1 --format='%(refname:short)' "refs/heads/$1/")
  run git merge --quiet --ff-only "$branch"
}
released() {
  mlops release
  merge release
  mlops apply dev
  for name in staging prod; do
    mlops promote "$name"
    merge promote
    mlops apply "$name"
  done
}
stop() { for name in dev staging prod; do uv run mlops stop "$name" > build/stopped.txt 2>&1 || true; done; }

# Fewer trees than by default, looked at less closely, so that the story is a short one.
sed -i.bak -E 's/^    max_iter: 100$/    max_iter: 50/; s/^  resamples: 200 /  resamples: 50 /; s/^  (importance|edge)_rows: .*/  \1_rows: 300/' params.yaml
rm params.yaml.bak

say "From the data to a verified model"
run make run
git config user.name Demo && git config user.email demo@example.com
git checkout --quiet -B main
# Ports that nobody uses, and no hour to wait for: the defaults are in environments/.
for name in dev staging prod; do
  port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
  sed -i.bak "s/^LISTEN=.*/LISTEN=127.0.0.1:$port/" "environments/$name/config.env"
  sed -i.bak "s/^soak_minutes: .*/soak_minutes: 0/" "environments/$name/policy.yaml"
  echo MLOPS_LOG_SECONDS=1 >> "environments/$name/config.env"
done
# One worker for each: only prod is put under load.
for name in dev staging; do sed -i.bak 's/^MLOPS_WORKERS=.*/MLOPS_WORKERS=1/' "environments/$name/config.env"; done
rm environments/*/*.bak
git add --all && git commit --quiet --message "Reproduce the pipeline"
run uv run dvc metrics show
mlops gate
mlops predict data/example/flights.parquet --output build/predictions.csv
run head -n 4 build/predictions.csv

say "A release of it, to dev, staging and prod: each is a checked copy, applied by starting what Git says"
trap stop EXIT
released
mlops load "$(sed -n 's/^LISTEN=//p' environments/prod/config.env)" --seconds 2
mlops trace prod

say "A change: hardly any learning. What its pull request says, and that it cannot be merged"
sed -i.bak 's/^    learning_rate: .*/    learning_rate: 0.02/' params.yaml && rm params.yaml.bak
mkdir -p build
uv run dvc repro > build/repro.log
mlops report --base main --log build/repro.log
cat build/report/report.md
refused mlops gate --base main
run git checkout --quiet -- .
uv run dvc checkout --quiet

say "Another one, which is good enough, through dev and staging to prod: a source that grows, and Git names what was learned from"
warehouse=$(dirname "$PWD")/warehouse
rm -rf "$warehouse" && mkdir "$warehouse"
run cp data/example/flights.parquet "$warehouse/2013.parquet"
run uv run dvc import-url --quiet "$warehouse" data/flights
sed -i.bak 's|^  path: data/example/flights.parquet|  path: data/flights|; s/^    max_iter: 50$/    max_iter: 60/' params.yaml
sed -i.bak 's|^  data/example/flights.parquet:|  data/flights:|' model.yaml
rm params.yaml.bak model.yaml.bak
uv run dvc repro > build/repro.log
uv run mlops card > build/card.log
mlops gate --base main
git add --all && git commit --quiet --message "Import the flights, and learn a little longer"
released

say "Back, in one command, and it sticks: the next promotion is held"
mlops rollback prod --reason "answers are wrong since noon"
merge rollback
mlops apply prod
refused mlops promote prod
mlops status

say "The world changes: a new carrier, which is late in the morning. What production says of it"
listen=$(sed -n 's/^LISTEN=//p' environments/prod/config.env)
run uv run python "$drift" data/example/flights.parquet "http://$listen/predict" build/environments/prod/log build/labels.csv "$warehouse/2014.parquet"
mlops feedback import prod build/labels.csv
refused mlops monitor prod

say "A retraining on the fresh data, as a pull request: its verdict, by the gates of any other change"
mlops retrain --reason "drift in prod" > build/retrain.log
sed '/^### Plots$/,$d' build/retrain/report/report.md
tail -n 3 build/retrain.log
merge retrain
run uv run dvc checkout --quiet
mlops gate --base HEAD^
mlops release
merge release
mlops apply dev
mlops status
