"""Print how many tests passed, failed and were skipped; exit 1 when one failed or was skipped."""

import sys
from xml.etree import ElementTree


def main() -> int:
    """Read the JUnit report that is named on the command line."""
    cases = ElementTree.parse(sys.argv[1]).findall(".//testcase")  # noqa: S314 (our own file)
    failed = sum(1 for case in cases if case.find("failure") is not None)
    failed += sum(1 for case in cases if case.find("error") is not None)
    skipped = [case for case in cases if case.find("skipped") is not None]
    for case in skipped:
        reason = case.find("skipped")
        print(f"skipped: {case.get('name')}: {reason.get('message') if reason is not None else ''}")
    passed = len(cases) - failed - len(skipped)
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return int(bool(failed or skipped or not passed))


if __name__ == "__main__":
    sys.exit(main())
