"""String distances of rapidfuzz, for pairs that come as lines of JSON `[a, b]` on standard input.

For each pair a line of numbers: on UTF-8 bytes Levenshtein, Damerau-Levenshtein, Jaro, Jaro-Winkler; on characters Levenshtein and
Jaro-Winkler. rapidfuzz compares code points, so bytes are given to it as bytes.
"""

import json
import sys

from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler, Levenshtein

for line in sys.stdin:
    a, b = json.loads(line)
    x, y = a.encode(), b.encode()
    numbers = [
        Levenshtein.distance(x, y),
        DamerauLevenshtein.distance(x, y),
        Jaro.similarity(x, y),
        JaroWinkler.similarity(x, y),
        Levenshtein.distance(a, b),
        JaroWinkler.similarity(a, b),
    ]
    print(" ".join(repr(n) for n in numbers))
