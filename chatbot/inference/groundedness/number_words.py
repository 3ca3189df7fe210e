"""Numbers written as words, and the words for what is counted, in the languages that Frontdesk meets most. Pure.

English in full; of German, French, Spanish and Chinese the small numbers, which is what help pages write out. Words
that mean something else in English ("elf", "once", "six") are English.
"""

from __future__ import annotations

import re

_ONES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
    "nineteen": 19, "zero": 0, "a dozen": 12,
    "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10, "zwölf": 12,
    "vierzehn": 14, "fünfzehn": 15, "zwanzig": 20, "dreißig": 30, "sechzig": 60, "neunzig": 90,
    "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "huit": 8, "neuf": 9, "dix": 10, "quatorze": 14, "quinze": 15,
    "vingt": 20,
    "trente": 30, "tres": 3, "cuatro": 4, "cinco": 5, "siete": 7, "ocho": 8, "nueve": 9, "diez": 10, "catorce": 14,
    "quince": 15, "veinte": 20, "treinta": 30,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
COUNTS = {"twice": "2", "half": "half", "hälfte": "half", "double": "double"}

_ENGLISH_ONES = "two|three|four|five|six|seven|eight|nine"
NUMBER_WORD = re.compile(
    rf"(?:(?:an?|one|{_ENGLISH_ONES}|ten|twenty|thirty|fifty) (?:hundred|thousand"
    rf"|million)(?: and)?(?: (?:{'|'.join(_TENS)}|{'|'.join(_ONES)}))?"
    rf"|(?:{'|'.join(_TENS)})(?:[- ](?:one|{_ENGLISH_ONES}))?|{'|'.join(sorted(_ONES, key=len, reverse=True))})(?!\w)"
)

_CHINESE = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"两": 2}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}

# Word → unit. What a text calls working days, business days and weekdays is the same.
UNIT_WORDS: dict[str, str] = {
    word: unit
    for unit, words in {
        "second": "seconds second secs sec sekunden",
        "minute": "minutes minute mins min minuten minutos 分钟 دقيقة دقائق",
        "hour": "hours hour hrs hr h stunden stunde heures heure horas hora 小时 ساعة ساعات",
        "working day": "workdays werktage werktagen werktag arbeitstage arbeitstagen 工作日",
        "day": "days day tage tagen tag jours jour días día dias 天 日 يوم يوما أيام ايام",
        "night": "nights night nächte nächten 晚",
        "week": "weeks week wochen woche semaines semaine semanas semana 周 星期 أسبوع أسابيع",
        "month": "months month monate monaten monat mois meses mes 月 شهر أشهر",
        "year": "years year yrs jahre jahren jahr ans an años año 年 سنة سنوات",
        "times": "times time mal fois veces 次",
        "kg": "kg kilograms kilogram kilos kilo",
        "g": "g grams gram gramm",
        "km": "km kilometres kilometers kilometer miles",
        "m": "m metres meters metre meter",
        "cm": "cm centimetres centimeters",
        "mm": "mm",
        "l": "l litres liters litre liter",
        "ml": "ml",
        "gb": "gb gigabytes gigabyte",
        "mb": "mb megabytes megabyte",
        "mbit": "mbps mbit mbit/s",
        "kwh": "kwh",
        "degrees": "°c °f °",
        "元": "元",
        "点": "点",
    }.items()
    for word in words.split()
} | {
    f"{modifier}{blank}{day}": "working day"
    for modifier in ("working", "business", "week")
    for blank in (" ", "-")
    for day in ("days", "day")
}  # fmt: skip


def words_value(written: str) -> str:
    """The value of what NUMBER_WORD matched, in digits."""
    total = current = 0
    for word in re.split(r"[- ]", written.lower()):
        if word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            total, current = total + current, 0
        elif word in ("a", "an", "one"):
            current += 1
        else:
            current += _TENS.get(word, _ONES.get(word, 12 if word == "dozen" else 0))
    return str(total + current)


def chinese_value(written: str) -> str:
    """The value of a Chinese numeral below ten thousand, in digits."""
    total, digit = 0, 0
    for character in written:
        if character in _CHINESE_SCALES:
            total += max(digit, 1) * _CHINESE_SCALES[character]
            digit = 0
        else:
            digit = _CHINESE[character]
    return str(total + digit)
