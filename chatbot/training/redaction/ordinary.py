"""Numbers that are nobody's secret: dates, times, prices, measures and articles of the shop.

A customer's telephone number and an article's number look alike; what stands beside them tells. What is recognised
here is kept from the detectors that go by shape alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatbot.training.redaction.reading import SPACED

_I = re.IGNORECASE
_AMOUNT = r"\d{1,3}(?:[.,'’ ]\d{3}){1,3}(?:[.,]\d{1,2})?(?!\d)|\d{1,7}(?:[.,]\d{1,2})?(?!\d)"
_CURRENCY = (
    r"[€$£¥₹₺₽₩₪]|(?:EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|JPY|CNY|RMB|INR|AED|SAR|EGP|CAD|AUD|BRL|euros?|"
    r"dollars?|"
    r"dólares|pounds?|quid|cents?|francs?|kronor|kroner|kr|złotych|zł|Kč|Ft|lei|元|块|圓|円|원)(?![a-z])|ريال|درهم|دولار|"
    r"جنيه|يورو"
)
_MONTH = (
    r"jan(?:uary|uar|vier|eiro)?|feb(?:ruary|ruar)?|f[ée]vrier|mar(?:ch|s|zo|ço)?|märz|maart|apr(?:il|ile)?|avril|"
    r"abril|may|mai|mayo|"
    r"maggio|june?|juin|junio|juni|giugno|july?|juillet|julio|juli|luglio|aug(?:ust|ustus)?|août|agosto|sep(?:t|"
    r"tember|tembre)?|"
    r"septiembre|settembre|setembro|o[ck]t(?:ober|obre|ubre)?|ottobre|outubro|nov(?:ember|embre|iembre)?|"
    r"de[cz](?:ember|embre)?|"
    r"décembre|diciembre|dicembre|dezembro"
)
_UNIT = (
    r"(?-i:k?g|mg|k?m|[cm]m|ml|l|cl|lbs?|oz|ft|k?W|k?Wh|V|A|mAh|[GTM]B|Hz)|°[CF]|inch(?:es)?|litres?|liters?|"
    r"lit[eè]rs?|"
    r"pieces?|pcs|Stück|pièces|piezas|pezzi|items?|boxes|pairs?|times|days?|Tage?n?|jours?|d[ií]as?|giorni|dagen|dni|"
    r"hours?|"
    r"Stunden|heures?|horas?|minutes?|Minuten|weeks?|Wochen?|months?|Monate?|years?|Jahre?|points?|Punkte|stars?|Uhr|"
    r"公斤|厘米|毫米|天|个|件|点|年|月|日|小时|分钟|يوم|كغ"
)
_ARTICLE = (
    r"article|item|art|artikel(?:nummer|nr)?|art(?:ikel)?\.?-?nr|produktnummer|product|produit|producto|prodotto|"
    r"produkt|sku|ean|gtin|upc|isbn|"
    r"asin|model(?:l|o|e|lo)?|modèle|mpn|part|ref(?:erencia)? del producto|artículo|articolo|article n[°º]|bestelnr|"
    r"catalogue|catalog|"
    r"colou?r|size|größe|version|firmware|货号|型号|商品(?:编号|号)?|品番|رقم المنتج|موديل"
)
DATE = (
    # No back-references, since this stands in other patterns too.
    r"(?<![\d.])(?:\d{1,2}(?:\.\d{1,2}\.|/\d{1,2}/|-\d{1,2}-)(?:\d{4}|\d{2})|\d{4}(?:\.\d{1,2}\.|/\d{1,2}/|"
    r"-\d{1,2}-)\d{1,2})"
    r"(?!\d|[./-]\d)"
    rf"|(?<!\d)\d{{1,2}}(?:st|nd|rd|th|\.|º|er)? (?:de |of )?(?:{_MONTH})\.?(?:,? (?:de )?\d{{4}})?(?![^\W\d_])(?!\d)"
    rf"|(?<![^\W\d_])(?:{_MONTH})\.? \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?(?!\d)"
    rf"|\d{{4}}年\d{{1,2}}月(?:\d{{1,2}}日)?|\d{{1,2}}月\d{{1,2}}[日号]"
)
_PATTERNS = (
    re.compile(DATE, _I),
    re.compile(r"(?<![\d:.])\d{1,2}[:.h]\d{2}(?::\d{2})?(?:\.\d{3})?(?:Z|[+-]\d{2}:?\d{2})?(?![\d:]|\.\d)"),
    re.compile(rf"(?:{_CURRENCY})\s?(?:{_AMOUNT})", _I),
    re.compile(rf"(?<![\d.,])(?:{_AMOUNT})(?:[.,]-)?\s?(?:{_CURRENCY}|%)", _I),
    re.compile(rf"(?<![{SPACED}.,])(?:{_AMOUNT})\s?(?:{_UNIT})(?![^\W\d_])", _I),
    # Before the number its cue, which may be a phrase: “article no. 4006381333931”, “SKU: HH-20394-B”.
    re.compile(
        rf"(?<![^\W\d_])(?:{_ARTICLE})(?:[ -]?(?:numbers?|no|nr|nummer|num|numéro|número|numero|"
        rf"code|id|n[°º]|号|编号))?"
        rf"[.:#\s()=]{{0,4}}(?:is |ist |est |es |è |"
        rf"was )?(?P<kept>[A-Z]{{0,6}}[-_/]?\d[\w./-]{{0,24}}(?: \d[\w./-]{{1,12}}){{0,4}})",
        _I,
    ),
)


def ordinary(text: str) -> Iterator[tuple[int, int]]:
    """Where such numbers stand."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.span("kept") if "kept" in pattern.groupindex else match.span()


def without_ordinary(text: str) -> str:
    """The text with a sign in their place that no pattern takes for a digit or a letter."""
    characters = list(text)
    for start, end in ordinary(text):
        characters[start:end] = "\ufffc" * (end - start)
    return "".join(characters)
