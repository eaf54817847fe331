"""How hard a page is to read: the grade of Flesch and Kincaid, years of school in the US.

`0.39 words/sentence + 11.8 syllables/word - 15.59` (Kincaid et al., 1975). Sentences
count: no code, no tables, no headings. Syllables are estimated from groups of vowels.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CODE = re.compile(r"^ *```.*?^ *```|<!--.*?-->|^ *\|.*?$|^#.*?$|<[^>]+>", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
# A name in code is read as a word, whatever is in it.
NAME = re.compile(r"`[^`]*`")
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


def sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence, or item of a list, of a page in Markdown."""
    plain = NAME.sub("name", LINK.sub(r"\1", CODE.sub("\n\n", text)))
    items = re.split(r"\n\s*\n|^\s*(?:[-*>]|\d+\.)\s+", plain, flags=re.MULTILINE)
    parts = (part for item in items for part in re.split(r"(?<=[.!?])\s+", item))
    found = (WORD.findall(part) for part in parts)
    return [words for words in found if len(words) > 1]


def syllables(word: str) -> int:
    """Estimate a word's syllables: its groups of vowels, without an `e` that is silent."""
    lower = word.lower()
    groups = len(re.findall(r"[aeiouy]+", lower))
    silent = re.search(r"[^aeiouyl]e$|[^aeiouytd]ed$|[^aeiouyscxzgh]es$", lower)
    return max(groups - bool(silent), 1)


def grade(text: str) -> float:
    """Return the grade of a page."""
    read = sentences(text)
    words = [word for sentence in read for word in sentence]
    spoken = sum(map(syllables, words))
    return 0.39 * len(words) / len(read) + 11.8 * spoken / len(words) - 15.59


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{grade(Path(name).read_text(encoding='utf-8')):5.1f}  {name}")
