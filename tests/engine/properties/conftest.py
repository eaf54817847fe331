"""How many examples are made: the same few each time, or many new ones in `make test-long`."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "few", derandomize=True, max_examples=40, deadline=None, database=None, print_blob=True
)
settings.register_profile(
    "long",
    max_examples=500,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "few"))
