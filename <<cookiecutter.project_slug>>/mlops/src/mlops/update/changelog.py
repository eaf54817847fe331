"""What a changelog says beyond an older one."""


def since(old: str, new: str) -> str:
    """The sections of `new` with those lines that `old` has nowhere; empty where there are none.

    By lines, as a section "Unreleased" becomes one of a version.
    """
    known = {line.strip() for line in old.splitlines() if line.strip()}
    told: list[str] = []
    for heading, lines in _sections(new):
        fresh = [line for line in lines if line.strip() and line.strip() not in known]
        if any(not line.startswith("#") for line in fresh):
            told += [heading, "", *_kept(lines, known), ""]
    return "\n".join(told).strip()


def _sections(text: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("## "):
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    return found


def _kept(lines: list[str], known: set[str]) -> list[str]:
    """The lines that are new, with the headings that something new stands under."""
    kept: list[str] = []
    heading: str | None = None
    for line in lines:
        if line.startswith("### "):
            heading = line
        elif line.strip() and line.strip() not in known:
            if heading:
                kept += ["", heading, ""] if kept else [heading, ""]
                heading = None
            kept.append(line)
    return kept
