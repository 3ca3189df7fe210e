"""What of a text can be checked to the letter: numbers with what they count, money, dates, links, addresses, labels.

Each fact has a value in one form, so that "fourteen days" and "14 days" are the same and "€4.95" and "4,95 EUR" too.
Nothing is converted: two weeks are 14 days only to somebody who has been told so. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from chatbot.inference.groundedness.fact_words import (
    CURRENCY_WORDS,
    DAY_FORMS,
    DAYS,
    DURATIONS,
    MONTHS,
    PER,
    SIGNS,
    TOP_LEVELS,
    WHEN,
)
from chatbot.inference.groundedness.number_words import COUNTS, NUMBER_WORD, UNIT_WORDS, chinese_value, words_value


class Kind(StrEnum):
    """What a fact is, in a reviewer's words."""

    NUMBER = "number"
    MONEY = "price"
    PERCENT = "percentage"
    DURATION = "duration"
    DATE = "date"
    TIME = "time"
    DAY = "day"
    LINK = "link"
    EMAIL = "e-mail address"
    PHONE = "phone number"
    CODE = "code"
    LABEL = "label"


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` is the form to compare by, `unit` what a number counts; `start` and `end` say where it stands."""

    kind: Kind
    value: str
    unit: str
    text: str
    start: int
    end: int


_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.I)
_LINK = re.compile(
    rf"(?:https?://|www\.)[^\s<>\"'，。！？]+|(?<![\w.-])(?:[a-z0-9-]{{1,63}}\.){{1,6}}(?:{TOP_LEVELS})\b(?:/[^\s<>\"'，。！？]*)?"
    rf"|(?<![\w.€$£/])/[a-z][\w-]*(?:/[\w-]+)*/?",
    re.I,
)
_PHONE = re.compile(r"(?<![\w.,/])(?:\+|00)?\(?\d[\d ()/-]{5,}\d(?![\w.,]\d|\w)")
_CODE = re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])(?:[A-Z]+[\d-]+[A-Z\d]*|\d+[A-Z]+[A-Z\d]*)\b")
_AMOUNT = r"\d+(?:[.,  ']\d{3})*(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?"
_CURRENCY = "|".join(sorted((re.escape(word) for word in CURRENCY_WORDS), key=len, reverse=True))
_MONEY = re.compile(
    rf"(?P<sign>[€$£¥₹₺]) ?(?P<after>{_AMOUNT})|(?P<before>{_AMOUNT}) ?(?:(?P<sign2>[€$£¥₹₺]|zł)"
    rf"|(?P<word>{_CURRENCY})(?![a-z]|\.m))",
    re.I,
)
_FREE = re.compile(
    r"(?<!feel )(?<!be )(?<!toll-)(?<![a-z]-)(?<!hands )\bfree\b(?!-?(?:time|up|seat|to (?:contact|ask|reach|call)"
    r"|hand|from [a-z]+)\b)"
    r"|\b(?:costs?|pay) nothing\b|\bwithout (?:extra |additional )?(?:charge|cost|fee)s?\b|\bat no (?:extra "
    r"|additional )?(?:cost|charge)\b|\bno (?:extra |additional )?(?:charge|fee|cost)s?\b"
    r"|\b(?:kostenlos|kostenfrei|gratis|gratuit)\w*|免费|مجان\w*",
    re.I,
)
_PERCENT = re.compile(rf"(?P<n>{_AMOUNT}) ?(?:%|percent\b|per cent\b|prozent\b|pour cent\b|por ciento\b|٪)", re.I)
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?P<d1>\d{{1,2}})(?:st|nd|rd|th|\.)? (?:of )?(?P<m1>{_MONTH})\b\.?"
    rf"|\b(?P<m2>{_MONTH})\.? (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?!\d|[.:]\d)"
    r"|\b(?P<y>\d{4})-(?P<m3>\d{2})-(?P<d3>\d{2})\b|\b(?P<n1>\d{1,2})(?P<sep>[./])(?P<n2>\d{1,2})(?P=sep)(?:\d{4}"
    r"|\d{2})\b"
    r"|(?P<m4>\d{1,2})月(?P<d4>\d{1,2})[日号]",
    re.I,
)
_FIRST_OF_TWO = re.compile(r"\b(?P<day>\d{1,2})(?:st|nd|rd|th|\.)? ?(?:[–—-]|and|to|until|und|bis) ?\Z", re.I)
# "may" is a verb far more often than a month.
_MONTH_ALONE = re.compile(
    rf"\b(?!may\b|mar\b|mars\b|dec\b|sept?\b|jan\b)(?:{_MONTH})\b|(?<=in )May\b|(?<=of )May\b|(?<=until )May\b",
    re.I,
)
_TIME = re.compile(
    r"\b(?P<h1>\d{1,2})(?:[:.](?P<m1>\d{2}))? ?(?P<half>[ap])\.?m\b\.?|\b(?P<h2>[01]?\d|2[0-4])[:h](?P<m2>[0-5]\d)\b"
    r"|\b(?P<h3>\d{1,2})(?:[:.](?P<m3>\d{2}))? (?:uhr|o'clock)\b|\b(?P<word>noon|midday|midnight)\b"
    r"|(?P<h4>\d{1,2})[点點时](?!间)",
    re.I,
)
_DAY = "|".join(DAY_FORMS)
_DAY_RANGE = re.compile(
    rf"(?<![a-z])(?P<first>{_DAY})(?![a-z])(?: ?[–—-] ?| to | through | until | till | bis | à | a |到|至| إلى )"
    rf"(?P<last>{_DAY})(?![a-z])|(?<![a-z])(?P<one>{_DAY})(?![a-z])",
    re.I,
)
_WHEN_PATTERN = re.compile("|".join(f"(?P<w{i}>{pattern})" for i, pattern in enumerate(WHEN.values())), re.I)
_UNIT = "|".join(sorted((re.escape(word) for word in UNIT_WORDS), key=len, reverse=True))
_RATE = re.compile(
    r"\bper (?P<per>(?!cent|se\b)[a-z]+)|\b(?:pro|par) (?P<foreign>tag|nacht|woche|monat|jahr|stunde|person|stück"
    r"|jour|nuit|mois|an)\b"
    r"|(?:\beach|\bevery|每|/) ?(?P<unit>night|day|week|month|year|hour|minute|person|天|月|年|周|小时)(?![a-z])"
    r"|\b(?P<adverb>hourly|weekly|monthly|yearly|annually|nightly|an? (?:year|month|week|day|night|hour|person|head"
    r"|user|piece))\b",
    re.I,
)
_NUMBER = re.compile(
    rf"(?<![A-Za-z\d.,])(?P<digits>{_AMOUNT})(?:[- 个]?(?P<unit>(?:{_UNIT})(?![a-zäöüé])))?"
    rf"|\b(?P<words>{NUMBER_WORD.pattern})(?:[- ](?P<wunit>(?:{_UNIT})(?![a-zäöüé])))?"
    rf"|\b(?P<one>an?|one|1|ein(?:e[nmrs]?)?|une?|una) (?P<ounit>(?:{_UNIT})(?![a-zäöüé]))"
    rf"|\b(?P<count>{'|'.join(COUNTS)}|one time|once(?= (?:an?|per|every|each|in)\b| ?\0|[.;!?]|$))\b"
    rf"|(?P<chinese>[一二两三四五六七八九十百千]+)个?(?P<cunit>工作日|小时|分钟|星期|[天日周月年元点次晚])",
    re.I,
)
_CONNECTIVE = re.compile(r" ?(?:[–—-]|to|or|and|bis|oder|à|到|至|إلى) ?")
_LABEL = re.compile(r"[“\"„«「](?P<label>[^”\"“»」\n]{2,60})[”\"“»」]")
_NOUN = re.compile(r"[ -]([a-zäöüßéèáíóúñ]{3,})", re.I)


def plain(text: str) -> str:
    """The text in one spelling of digits, blanks, quotes and dashes; as long as before, so that places stay."""
    if text.isascii():
        return text
    return _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.digit(digit[0])), text.translate(_SPELLINGS))


_SPELLINGS = str.maketrans("’‘ʼ\u00a0\u2009\u202f\u2007\u2010\u2011\u2212", "'''    ---")
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")


def extract_facts(text: str) -> list[Fact]:
    """The facts of a text in the order in which they stand; no character belongs to two, labels aside."""
    text = plain(text)
    facts: list[Fact] = []
    left = text
    for finder in (_addresses, _phones, _money, _percentages, _dates, _times, _codes, _days, _rates, _numbers):
        found = list(finder(left))
        facts += found
        for fact in found:
            left = left[: fact.start] + "\0" * (fact.end - fact.start) + left[fact.end :]
    facts += _labels(text)
    return sorted(facts, key=lambda fact: fact.start)


def _fact(match: re.Match[str], kind: Kind, value: str, unit: str = "") -> Fact:
    return Fact(kind, value, unit, match[0].strip(), match.start(), match.end())


def _addresses(text: str) -> Iterator[Fact]:
    taken: list[tuple[int, int]] = []
    for match in _EMAIL.finditer(text):
        taken.append(match.span())
        yield _fact(match, Kind.EMAIL, match[0].casefold().rstrip("."))
    for match in _LINK.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in taken):
            continue
        written = match[0].rstrip(".,;:!?)]}*")
        value = re.sub(r"^(https?://)?(www\.)?", "", written.casefold()).rstrip("/")
        yield Fact(Kind.LINK, value, "", written, match.start(), match.start() + len(written))


def _phones(text: str) -> Iterator[Fact]:
    for match in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if len(digits) >= 7 and not _DATE.fullmatch(match[0]) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", match[0]):
            yield _fact(match, Kind.PHONE, digits)


def _money(text: str) -> Iterator[Fact]:
    for match in _MONEY.finditer(text):
        sign = match["sign"] or match["sign2"]
        currency = SIGNS[sign.lower()] if sign else CURRENCY_WORDS[match["word"].casefold()]
        amount = amount_value(match["after"] or match["before"])
        if currency == "cent":
            currency, amount = "", _tidy(Decimal(amount) / 100)
        yield _fact(match, Kind.MONEY, amount, currency)
    for match in _FREE.finditer(text):
        yield _fact(match, Kind.MONEY, "free", "")


def _percentages(text: str) -> Iterator[Fact]:
    for match in _PERCENT.finditer(text):
        yield _fact(match, Kind.PERCENT, amount_value(match["n"]), "%")


def _dates(text: str) -> Iterator[Fact]:
    for match in _DATE.finditer(text):
        if match["n1"]:
            yield _fact(match, Kind.DATE, re.sub(r"\b0", "", match[0]).replace(".", "/"))
            continue
        named = match["m1"] or match["m2"]
        month = MONTHS[named.casefold()] if named else int(match["m3"] or match["m4"])
        day = int(match["d1"] or match["d2"] or match["d3"] or match["d4"])
        if match["d1"] and (first := _FIRST_OF_TWO.search(text, 0, match.start())):  # "between 1 and 31 December"
            yield _fact(first, Kind.DATE, f"{month:02}-{int(first['day']):02}")
        yield _fact(match, Kind.DATE, f"{month:02}-{day:02}")
    spans = [match.span() for match in _DATE.finditer(text)]
    for match in _MONTH_ALONE.finditer(text):
        if match[0][:1].isupper() and not any(start <= match.start() < end for start, end in spans):
            yield _fact(match, Kind.DATE, f"{MONTHS[match[0].casefold()]:02}")


def _times(text: str) -> Iterator[Fact]:
    for match in _TIME.finditer(text):
        if match["word"]:
            yield _fact(match, Kind.TIME, "0:00" if match["word"].casefold() == "midnight" else "12:00")
            continue
        hour = int(match["h1"] or match["h2"] or match["h3"] or match["h4"])
        minute = match["m1"] or match["m2"] or match["m3"] or "00"
        if match["half"]:
            hour = hour % 12 + (12 if match["half"].casefold() == "p" else 0)
        yield _fact(match, Kind.TIME, f"{hour % 24}:{minute}")


def _codes(text: str) -> Iterator[Fact]:
    for match in _CODE.finditer(text):
        yield _fact(match, Kind.CODE, match[0].casefold())


def _days(text: str) -> Iterator[Fact]:
    for match in _DAY_RANGE.finditer(text):
        if match["one"]:
            yield _fact(match, Kind.DAY, DAYS[_day_index(match["one"])])
            continue
        first, last = _day_index(match["first"]), _day_index(match["last"])
        for index in range(first, last + 1 if last >= first else last + 8):
            yield _fact(match, Kind.DAY, DAYS[index % 7])
    for match in _WHEN_PATTERN.finditer(text):
        value = next(name for index, name in enumerate(WHEN) if match[f"w{index}"])
        yield _fact(match, Kind.DAY, value)


def _day_index(written: str) -> int:
    return next(index for form, index in DAY_FORMS.items() if re.fullmatch(form, written, re.I))


def _rates(text: str) -> Iterator[Fact]:
    for match in _RATE.finditer(text):
        adverb = (match["adverb"] or "").casefold()
        if adverb.startswith(("a ", "an ")):
            # "€10 a day", "twice a week"; but "it takes a day".
            before = text[: match.start()].rstrip()
            if not (before.endswith("\0") or re.search(r"\b(once|twice|times?|per \w+)$", before, re.I)):
                continue
            unit = adverb.split()[1]
        else:
            unit = (match["per"] or match["foreign"] or match["unit"] or adverb).casefold()
        yield _fact(match, Kind.DURATION, "per", PER.get(unit, unit))


def _numbers(text: str) -> Iterator[Fact]:
    previous: Fact | None = None
    for match in _NUMBER.finditer(text):
        unit = match["unit"] or match["wunit"] or match["ounit"] or match["cunit"] or ""
        if match["digits"]:
            value = amount_value(match["digits"])
        elif match["words"]:
            value = words_value(match["words"])
        elif match["one"]:
            value = "1"
        elif match["count"]:
            value, unit = COUNTS.get(match["count"].casefold(), "1"), "times"
        else:
            value = chinese_value(match["chinese"])
        unit = UNIT_WORDS.get(unit.casefold(), unit)
        kind = Kind.DURATION if unit in DURATIONS else Kind.NUMBER
        if not unit and (noun := _NOUN.match(text, match.end())):
            unit = f"?{noun[1].casefold()}"
            if currency := CURRENCY_WORDS.get(noun[1].casefold()):
                kind, unit = Kind.MONEY, currency
        fact = _fact(match, kind, value, unit)
        # "2 to 4 days": the unit is the first number's too.
        between = text[previous.end : fact.start] if previous else ""
        if previous is not None:
            lacks_unit = previous.unit.startswith("?") or not previous.unit
            yield replace(previous, kind=kind, unit=unit) if lacks_unit and _CONNECTIVE.fullmatch(between) else previous
        previous = fact
    if previous is not None:
        yield previous


def _labels(text: str) -> Iterator[Fact]:
    for match in _LABEL.finditer(text):
        yield Fact(
            Kind.LABEL, " ".join(match["label"].casefold().split()).strip(" .,"), "", match["label"], *match.span()
        )


def amount_value(written: str) -> str:
    """A number as it is written in any country, in one form: "1.299,00" and "1,299" are "1299", "4,95" is "4.95"."""
    digits = re.sub(r"[ ']", "", written)
    separators = [character for character in digits if character in ".,"]
    if len(set(separators)) == 2:
        digits = digits.replace("," if separators[-1] == "." else ".", "").replace(",", ".")
    elif separators and (len(separators) > 1 or re.search(r"^[1-9]\d{0,2}[.,]\d{3}$", digits)):
        digits = re.sub(r"[.,]", "", digits)
    else:
        digits = digits.replace(",", ".")
    try:
        return _tidy(Decimal(digits))
    except InvalidOperation:
        return digits


def _tidy(value: Decimal) -> str:
    return format(value.normalize(), "f")
