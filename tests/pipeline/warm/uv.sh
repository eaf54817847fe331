# uv, as it is; but what `uv run` runs of the environment begins warm.
UV=
WHERE=
if [ "$1" != run ]; then exec "$UV" "$@"; fi
found=
for argument in "$@"; do
  shift
  case "$found$argument" in
    python | dvc | mlops) argument="$WHERE/$argument" found=: ;;
  esac
  set -- "$@" "$argument"
done
exec "$UV" "$@"
