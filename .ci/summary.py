"""Print what the tests took, and how many passed, failed and were skipped.

Exit code 1 when one failed or was skipped. Seconds are those of workers, which run side by side.
"""

import re
import sys
from collections import defaultdict
from xml.etree import ElementTree

SLOWEST = 20
# Where a test is, by the name of its module: tests.engine.unit.test_cli is of engine.
GROUP = re.compile(r"^tests\.(?:test_)?(\w+)")


def main() -> int:
    """Read the JUnit report that is named on the command line."""
    cases = ElementTree.parse(sys.argv[1]).findall(".//testcase")  # noqa: S314 (our own file)
    taken(cases)
    failed = sum(1 for case in cases if case.find("failure") is not None)
    failed += sum(1 for case in cases if case.find("error") is not None)
    skipped = [case for case in cases if case.find("skipped") is not None]
    for case in skipped:
        reason = case.find("skipped")
        print(f"skipped: {case.get('name')}: {reason.get('message') if reason is not None else ''}")
    passed = len(cases) - failed - len(skipped)
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return int(bool(failed or skipped or not passed))


def taken(cases: list[ElementTree.Element]) -> None:
    """Print the time of each group of tests, which is a folder, and the slowest tests.

    A test that is the first to need something that others share takes the time for all of them.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        groups[group_of(case)].append(seconds(case))
    print("seconds  tests  group")
    for name, found in sorted(groups.items(), key=lambda item: -sum(item[1])):
        print(f"{sum(found):7.0f}  {len(found):5}  {name}")
    print(f"{sum(map(sum, groups.values())):7.0f}  {len(cases):5}  all")
    print("seconds  slowest tests")
    for case in sorted(cases, key=seconds, reverse=True)[:SLOWEST]:
        print(f"{seconds(case):7.0f}  {case.get('classname')}::{case.get('name')}")


def group_of(case: ElementTree.Element) -> str:
    """Return the folder below tests that a test is in, or its module where it is in none."""
    found = GROUP.match(case.get("classname", ""))
    return found[1] if found else "others"


def seconds(case: ElementTree.Element) -> float:
    """Return how long a test took, with what was made for it."""
    return float(case.get("time", 0))


if __name__ == "__main__":
    sys.exit(main())
