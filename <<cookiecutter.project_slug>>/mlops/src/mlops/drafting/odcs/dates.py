"""How dates are written: strptime's codes here, in the standard Java's DateTimeFormatter's."""

import re

JAVA = {
    "%Y": "yyyy",
    "%y": "yy",
    "%m": "MM",
    "%b": "MMM",
    "%B": "MMMM",
    "%d": "dd",
    "%j": "DDD",
    "%H": "HH",
    "%I": "hh",
    "%M": "mm",
    "%S": "ss",
    "%f": "SSSSSS",
    "%p": "a",
    "%z": "xx",
}
STRPTIME = {java: code for code, java in JAVA.items()}
# In Java's, letters are fields unless they are quoted.
PART = re.compile(r"'(?P<quoted>[^']*)'|(?P<field>([A-Za-z])\3*)|(?P<plain>[^A-Za-z']+)")


def to_java(text: str) -> str | None:
    """Java's pattern for strptime's; None where there is none."""
    parts = re.findall(r"%.|[^%]+", text)
    if any(part.startswith("%") and part not in JAVA for part in parts) or "'" in text:
        return None
    java = "".join(JAVA.get(part) or re.sub(r"[A-Za-z]+", r"'\g<0>'", part) for part in parts)
    return java if from_java(java) == text else None  # fields of one letter may run together


def from_java(pattern: str) -> str | None:
    """Strptime's pattern for Java's; None where there is none."""
    found = ""
    for part in PART.finditer(pattern):
        if part["field"]:
            if part["field"] not in STRPTIME:
                return None
            found += STRPTIME[part["field"]]
        else:
            found += (part["quoted"] or part["plain"] or "").replace("%", "%%")
    return found
