"""Text that needs no network: drawn from small grammars, the same for a seed on every Python.

It stands in for sets that cannot be had. A model that learns anything learns this quickly, so what is reached on it
says nothing about real text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from aifs_data.streams import random_stream

Grammar = Mapping[str, tuple[str, ...]]

# A word in capitals stands for one of its lines; what is no key stands for itself.
TALE: Grammar = {
    "SENTENCE": ("CLAUSE .", "CLAUSE .", "CLAUSE , and CLAUSE .", "CLAUSE , but CLAUSE .", "WHEN , CLAUSE ."),
    "CLAUSE": ("SOMEONE DOES", "SOMEONE DOES WHERE", "SOMEONE MANNER DOES", "there is THING WHERE"),
    "SOMEONE": ("the PERSON", "the QUALITY PERSON", "a PERSON", "the PERSON of the PLACE", "nobody"),
    "DOES": ("sees THING", "carries THING", "remembers THING", "waits for SOMEONE", "sings", "returns", "sleeps"),
    "THING": ("the OBJECT", "a QUALITY OBJECT", "an old OBJECT", "the OBJECT of the PERSON"),
    "WHERE": ("in the PLACE", "near the PLACE", "behind the QUALITY PLACE", "above the PLACE"),
    "WHEN": ("at night", "in the morning", "after the storm", "every winter", "long ago"),
    "MANNER": ("never", "often", "always", "quietly", "sometimes"),
    "PERSON": ("captain", "miller", "queen", "shepherd", "baker", "stranger", "painter", "child", "smith", "judge"),
    "OBJECT": ("lamp", "letter", "ship", "bell", "crown", "key", "map", "wheel", "basket", "mirror"),
    "PLACE": ("harbour", "tower", "mill", "forest", "garden", "village", "bridge", "market", "valley", "lighthouse"),
    "QUALITY": ("grey", "small", "quiet", "wooden", "bright", "lonely", "narrow", "golden", "broken", "patient"),
}

_GOOD = (
    *("brilliant", "charming", "clever", "funny", "gripping", "honest", "lovely", "moving", "original", "superb"),
    *("tender", "thrilling", "vivid", "warm", "witty", "wonderful"),
)
_BAD = (
    *("awful", "boring", "clumsy", "dreadful", "dull", "empty", "flat", "forced", "lazy", "muddled"),
    *("noisy", "pointless", "shallow", "stale", "tedious", "weak"),
)
_ASPECTS = ("acting", "camera", "dialogue", "ending", "film", "humour", "music", "pace", "plot", "script", "story")
_PLAIN = ("the {} is {}", "the {} is really {}", "how {1} the {0} is", "i found the {} {}", "the {} was {} to the end")
_NEGATED = ("the {} is not {}", "the {} is never {}", "nobody would call the {} {}", "the {} is hardly {}")

_CENTURIES = ("sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_FIRST_TO_NINTH = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_ORDINALS = (
    *(*_FIRST_TO_NINTH, "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
    *("seventeenth", "eighteenth", "nineteenth", "twentieth", *(f"twenty {ordinal}" for ordinal in _FIRST_TO_NINTH)),
    *("thirtieth", "thirty first"),
)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
_DATE_FORMS = ("the {day} of {month} {year}", "{month} the {day} , {year}", "on {month} {day} in the year {year}")

_ONSETS = ("b", "br", "d", "dr", "f", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "r", "s", "sh", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ei", "ia", "ou")
_CODAS = ("l", "m", "n", "r", "s", "k", "th", "nd", "x")


def integers(seed: int, purpose: str, *indices: int) -> Iterator[int]:
    """Return integers from 0 to 2³¹ - 1 without end, a function of these values."""
    rng = random_stream(seed, purpose, *indices)
    while True:  # in blocks, since a call for each would take most of the time
        yield from rng.integers(0, 1 << 31, size=4096).tolist()


def expand(symbol: str, grammar: Grammar, draws: Iterator[int]) -> list[str]:
    """Return the words that a symbol of the grammar becomes."""
    lines = grammar.get(symbol)
    if lines is None:
        return [symbol]
    chosen = lines[next(draws) % len(lines)]
    return [word for part in chosen.split(" ") for word in expand(part, grammar, draws)]


def play(seed: int, n_speeches: int) -> str:
    """Return speeches of one to three sentences, laid out like a play."""
    draws = integers(seed, "grammar: play")
    speeches = []
    for _ in range(n_speeches):
        (speaker,) = expand("PERSON", TALE, draws)
        sentences = [_written(expand("SENTENCE", TALE, draws)) for _ in range(1 + next(draws) % 3)]
        speeches.append(f"{speaker.upper()}:\n" + "\n".join(sentences) + "\n")
    return "\n".join(speeches)


def articles(seed: int, n_articles: int, purpose: str) -> str:
    """Return articles of a few paragraphs, split into words and with titles between signs of equality."""
    draws = integers(seed, f"grammar: {purpose}")
    lines = []
    for _ in range(n_articles):
        (quality,), (thing,) = expand("QUALITY", TALE, draws), expand("OBJECT", TALE, draws)
        # What an article is about comes up in it all the time.
        grammar = {**TALE, "OBJECT": (thing, thing, *TALE["OBJECT"]), "QUALITY": (quality, *TALE["QUALITY"])}
        lines += ["", f"= The {quality} {thing} =", ""]
        for _ in range(2 + next(draws) % 4):
            lines.append(" ".join(" ".join(expand("SENTENCE", grammar, draws)) for _ in range(2 + next(draws) % 4)))
    return "".join(f" {line} \n" for line in lines)


def reviews(seed: int, n_reviews: int) -> list[tuple[str, int]]:
    """Return different sentences on a film, each with 1 if it praises and 0 if it does not, in turn.

    A negation turns its clause around, and of two clauses the one after "but" counts: the words alone do not tell.
    """
    draws = integers(seed, "grammar: reviews")
    found: dict[str, int] = {}
    while len(found) < n_reviews:
        label = len(found) % 2
        sentence = _clause(label, draws)
        if next(draws) % 3 == 0:
            sentence = f"{_clause(1 - label, draws)} , but {sentence}"
        found.setdefault(sentence, label)
    return list(found.items())


def dates(seed: int, n_dates: int) -> list[tuple[str, str]]:
    """Return different days of the years 1600 to 1999: ("the third of march nineteen ninety seven", "1 9 9 7 - …")."""
    draws = integers(seed, "grammar: dates")
    first, last = date(1600, 1, 1).toordinal(), date(1999, 12, 31).toordinal()
    found: dict[date, str] = {}
    while len(found) < n_dates:
        day = date.fromordinal(first + next(draws) % (last - first + 1))
        form = _DATE_FORMS[next(draws) % len(_DATE_FORMS)]
        words = form.format(day=_ORDINALS[day.day - 1], month=_MONTHS[day.month - 1], year=_year(day.year))
        found.setdefault(day, words)
    return [(words, " ".join(day.isoformat())) for day, words in found.items()]


def names(seed: int, n_names: int, language: int = 0) -> list[str]:
    """Return different made-up names of two or three syllables; each language has syllables of its own."""
    # The sounds of a language are the same whatever the seed.
    chosen = integers(language, "grammar: sounds")
    sounds = (_chosen(_ONSETS, 6, chosen), _chosen(_VOWELS, 4, chosen), ["", "", "", *_chosen(_CODAS, 3, chosen)])
    draws = integers(seed, "grammar: names", language)
    found: dict[str, None] = {}
    while len(found) < n_names:
        n_syllables = 2 + next(draws) % 2
        found["".join(part[next(draws) % len(part)] for _ in range(n_syllables) for part in sounds)] = None
    return list(found)


def _written(words: list[str]) -> str:
    text = " ".join(words).replace(" ,", ",").replace(" .", ".")
    return text[0].upper() + text[1:]


def _clause(label: int, draws: Iterator[int]) -> str:
    negated = next(draws) % 3 == 0
    forms = _NEGATED if negated else _PLAIN
    adjectives = _GOOD if label != negated else _BAD
    form, aspect, adjective = (options[next(draws) % len(options)] for options in (forms, _ASPECTS, adjectives))
    return form.format(aspect, adjective)


def _year(year: int) -> str:
    century, rest = divmod(year, 100)
    if rest < 10:
        spoken = f"oh {_ONES[rest]}" if rest else "hundred"
    elif rest < 20:
        spoken = _ONES[rest]
    else:
        spoken = f"{_TENS[rest // 10]} {_ONES[rest % 10]}" if rest % 10 else _TENS[rest // 10]
    return f"{_CENTURIES[century - 16]} {spoken}"


def _chosen(options: tuple[str, ...], n: int, draws: Iterator[int]) -> list[str]:
    """Return n different ones of the options."""
    left = list(options)
    return [left.pop(next(draws) % len(left)) for _ in range(n)]
