"""What a container runs: settings come from its environment."""

import logging

from ..errors import run
from .server import serve
from .settings import load_settings

if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run(lambda: serve(load_settings()))
