"""The contract as the Open Data Contract Standard writes it, in version 3.1: there and back.

The standard: https://bitol-io.github.io/open-data-contract-standard/v3.1.0/. What it has no word
for stands where it lets a tool keep its own: `customProperties`, and quality of the type `custom`.
"""

VERSION = "v3.1.0"

# The engine of checks of the type `custom` that only we can read.
ENGINE = "mlops"
