"""How long each page is, and how hard its prose is to read.

    python benchmarks/words.py [PAGE ...]

prints the words of each page (code and tables included, rules of tables not), the share of them
that is prose, the mean length of its sentences in words, and Flesch's reading ease: 60 to 70 is
plain English, below 30 is hard. The syllables are estimated. Without names: all pages of docs/.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_PROSE = re.compile(r"^```.*?^```$|<!--.*?-->|^\s*\|.*?$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
VOWELS = re.compile(r"[aeiouy]+")


def prose(text: str) -> list[list[str]]:
    """The sentences of a page as lists of words: paragraphs and list items."""
    text = LINK.sub(r"\1", NOT_PROSE.sub("\n\n", text))
    text = re.sub(r"`[^`]*`", "code", text)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)", text)
    sentences = [
        re.findall(r"[A-Za-zÀ-ÿ']+", sentence)
        for block in blocks
        if not block.lstrip().startswith("#")
        for sentence in re.split(r"[.!?:](?=\s|$)", block)
    ]
    return [words for words in sentences if len(words) > 2]


def syllables(word: str) -> int:
    """An estimate: groups of vowels, without a silent e at the end."""
    return max(1, len(VOWELS.findall(re.sub(r"(?<!l)e$", "", word.lower()))))


def figures(text: str) -> tuple[int, float, float, float]:
    """Words, the share that is prose, words per sentence and the reading ease."""
    sentences = prose(text)
    words = [word for sentence in sentences for word in sentence]
    count = max(1, len(words))
    length = count / max(1, len(sentences))
    ease = 206.835 - 1.015 * length - 84.6 * sum(map(syllables, words)) / count
    total = sum(any(map(str.isalnum, token)) for token in text.split())
    return total, len(words) / max(1, total), length, ease


def main() -> None:
    """Print the table as Markdown."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "docs").glob("*.md"))
    print("| page | words | prose | words per sentence | reading ease |\n|---|--:|--:|--:|--:|")
    total = 0
    for path in paths:
        count, share, length, ease = figures(path.read_text(encoding="utf-8"))
        total += count
        print(f"| {path.stem} | {count:,} | {share:.0%} | {length:.1f} | {ease:.0f} |")
    print(f"| **all** | {total:,} | | | |")


if __name__ == "__main__":
    main()
