"""Postal addresses, as far as their patterns in some twenty countries reach.

A street with a number begins one; what follows belongs to it while it looks like a flat, a postcode or a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatbot.training.redaction.spans import Kind, Span

# Capital letters of European alphabets; Latin Extended-A has capitals and small letters in turns.
UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĖĘĚĞĢĪĮİĶĹĻĽŁŃŅŇŌŐŒŔŘŚŞŠŢŤŪŮŰŲŹŻŽȘȚА-ЯЁΑ-Ω"
_CAPITAL = rf"(?-i:[{UPPER}])"
_WORD = r"[^\W\d_][\w'’.-]{0,24}"
_NAME = rf"{_CAPITAL}[\w'’.-]{{0,24}}"
# What begins the next sentence and not a place.
_NO_PLACE = (
    r"(?!(?:please|pls|thanks?|can|could|would|i|i'm|my|the|it|is|and|where|when|how|but|hello|hi|regards|best|bitte|"
    r"danke|"
    r"merci|gracias|grazie|wann|wo|ich|je|order|tel|phone|e-?mail)(?!\w))"
)
_LINK = r"(?:am|an der|im|sur|sous|de|del|la|upon|on|der|den|under)"
_PLACE = (
    rf"{_NO_PLACE}{_CAPITAL}[\w'’.-]{{1,24}}(?:[ -](?:{_LINK}[ -])?{_CAPITAL}[\w'’.-]{{1,24}}|"
    rf"[ -]\d{{1,2}}(?!\d)){{0,3}}"
)

_BRITISH = r"(?-i:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})"
_IRISH = r"(?-i:[AC-FHKNPRTV-Y](?:\d{2}|\dW) ?(?=[A-Z0-9]{0,3}[A-Z])[AC-FHKNPRTV-Y0-9]{4})"
_CANADIAN = r"(?-i:[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d)"
_STATE = (
    r"(?-i:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|"
    r"W[AIVY])"
)
_POSTCODE = (
    rf"(?:{_BRITISH}|{_IRISH}|{_CANADIAN}|{_STATE} \d{{5}}(?:-\d{{4}})?|\d{{5}}-\d{{3}}|\d{{4}}-\d{{3}}|"
    rf"\d{{2}}-\d{{3}}|"
    r"(?-i:[A-Z]{1,2}-)?\d{4,6}(?: ?(?-i:[A-Z]{2}))?|\d{3} \d{2})(?![\w]|[.,]\d)"
)
_FLAT = (
    r"(?:,? ?(?:apt|apartment|flat|unit|suite|ste|floor|whg|wohnung|top|appt|appartement|bis|piso|int|m|"
    r"kv)\.? ?#?\w{1,5}(?!\w))?"
)
_REST = (
    rf"{_FLAT}(?:[,\n;]{{1,2}} {{0,2}}(?:{_POSTCODE},? {_PLACE}|{_PLACE},? {_POSTCODE}|{_POSTCODE}|{_PLACE})"
    rf"| {_POSTCODE}(?:,? {_PLACE})?){{0,4}}"
)
_NUMBER = r"\d{1,4}(?!\d)(?: ?[a-z](?!\w)|[/-]\d{1,4})?"

# Words between a number and “road” that make it no address: “5 days on the road”.
_NO_STREET = (
    r"(?!(?:on|the|in|of|to|at|my|a|an|is|are|was|days?|weeks?|minutes?|hours?|months?|years?|people|items?|down|up|"
    r"off|from|for|"
    r"by|and|or|times|your|this|that|it|has|have|more|kg|km|pieces?|percent|euros?|pounds?|orders?|parcels?)(?!\w))"
)
_STREET = (
    r"(?:street|str|road|rd|avenue|ave|boulevard|blvd|lane|ln|drive|dr|terrace|tce|crescent|cres|quay|highway|hwy|"
    r"parkway|"
    r"pkwy|mews|st)(?![\w'])\.?"
)
# These are everyday words too, so they count with a capital only.
_DOUBTFUL_STREET = (
    r"(?-i:Way|Court|Ct|Close|Place|Pl|Square|Sq|Park|Row|Gardens|Gdns|Hill|View|Grove|Green|Walk|Circle|Cir|Trail|"
    r"Loop|"
    r"Parade|Pde|Rise|Heights|Wharf|Yard|Broadway)(?![\w'])"
)
_COMPASS = r"(?: (?:north|south|east|west|n|s|e|w|nw|ne|sw|se)(?!\w))?"
_OF = (
    r"(?:de la |de los |de las |de l['’]|della |dello |degli |delle |dell['’]|du |des |del |dei |do |da |"
    r"dos |das |de |d['’]|aux? )?"
)

_WESTERN = (
    # 12 Main Street, Apt 4, Dublin 2 · Flat 3, 27b Baker St, London NW1 6XE · 350 Fifth Ave, New York, NY 10118
    rf"(?:(?:flat|apt|apartment|unit|suite)\.? \w{{1,5}},? )?(?<![\w.,])\d{{1,5}}[a-z]?(?:[-/]\d{{1,4}}[a-z]?)?,? "
    rf"(?:{_NO_STREET}(?:{_WORD}|\d{{1,3}}(?:st|nd|rd|th)) ){{1,4}}?(?:{_STREET}|{_DOUBTFUL_STREET}){_COMPASS}{_REST}",
    # Lindenstraße 12a, 10969 Berlin
    rf"(?<!\w){_CAPITAL}[\w.-]{{1,30}}(?:straße|strasse|str\.|allee|gasse|platz|chaussee|ufer|damm|"
    rf"(?<!hin)(?<!rück)(?<!heim)weg)"
    rf"(?!\w) ?{_NUMBER}{_REST}",
    # Berliner Str. 5
    rf"(?<!\w){_CAPITAL}\w{{2,20}}(?:[ -]{_CAPITAL}\w{{1,20}}){{0,2}}[ -](?:straße|strasse|str\.|allee|platz|weg|"
    rf"gasse) "
    rf"{_NUMBER}{_REST}",
    # Am Markt 3, 04109 Leipzig: with its place alone, since “Am Montag 3” is none.
    rf"(?<!\w)(?:(?-i:Am|An der|An den|Auf dem|Auf der|Im|In der|Unter den|Zum|Zur|Hinter der) {_NAME}|"
    rf"{_CAPITAL}\w{{2,20}}(?:ring|markt|steig|hof|berg|wall|graben)) {_NUMBER},?[ \n]{{1,2}}\d{{4,5}} {_PLACE}",
    # 14 rue de la Paix, 75002 Paris
    rf"(?<![\w.,])\d{{1,4}}(?: ?(?:bis|ter|quater))?,? (?:rue|avenue|av\.|boulevard|bd|place|chemin|impasse|allées?|"
    rf"quai|cours|"
    rf"route|square|passage) {_OF}{_WORD}(?:[ -](?:de |du |des |la |le )?{_NAME}){{0,3}}{_REST}",
    # Calle de Alcalá 50, 28014 Madrid · via Garibaldi, 12 · Rua Augusta nº 24
    rf"(?<!\w)(?:calle|c/|avenida|avda\.?|av\.|plaza|paseo|carrera|travessa|rua|praça|estrada|largo) ?{_OF}"
    rf"{_WORD}(?: {_WORD}){{0,3}}?,? (?:n[º°.] ?|núm\. |número )?{_NUMBER}{_REST}",
    rf"(?<!\w)(?:via|viale|piazza|piazzale|corso|vicolo) (?!(?:e-?mail|paypal|klarna|dhl|ups|gls|hermes|whatsapp|"
    rf"apple|google)\b)"
    rf"{_OF}{_NAME}(?: {_WORD}){{0,2}}?,? (?:n[º°.] ?)?{_NUMBER}{_REST}",
    # Prinsengracht 263, 1016 GV Amsterdam · Drottninggatan 5 · Nygata 12
    rf"(?<!\w){_CAPITAL}[\w'-]{{2,30}}(?:straat|laan|plein|gracht|kade|dreef|singel|gatan|gata|gate|vägen|vegen|veien|"
    rf"vej|gade|"
    rf"katu|tie) {_NUMBER}{_REST}",
    # ul. Długa 7/3, 00-238 Warszawa · улица Ленина, д. 5
    rf"(?<!\w)(?:ul\.?|ulica|al\.|aleja|os\.|улица|ул\.?|проспект|"
    rf"пр\.) ?{_NAME}(?: {_WORD}){{0,2}}?,? (?:д\. ?)?{_NUMBER}{_REST}",
    # Atatürk Caddesi No: 12, Kadıköy
    rf"(?<!\w){_NAME}(?: {_NAME}){{0,2}} (?:caddesi|cad\.|sokak|sokağı|sok\.|bulvarı|mahallesi|mah\.)"
    rf"(?:,? ?{_NAME} (?:caddesi|cad\.|sokak|sokağı|sok\.))?,? (?:no ?[:.] ?)?\d{{1,4}}(?:/\d{{1,4}})?{_REST}",
    r"(?<!\w)(?:p\.? ?o\.? box|postfach|apartado(?: de correos)?|casella postale|postbus|skrytka pocztowa|ص\.? ?ب\.?) "
    rf"\d{{1,7}}(?!\d){_REST}",
    # Postcodes that no other thing looks like, and others that are called so.
    rf"(?<![\w-])(?:{_BRITISH}|{_IRISH}|{_CANADIAN}|{_STATE} \d{{5}}(?:-\d{{4}})?)(?!\w)",
)
_CALLED_POSTCODE = re.compile(
    r"(?:post ?code|postal code|\bzip(?: ?code)?|eircode|\bplz\b|postleitzahl|code postal|código postal|"
    r"codice postale|\bcap\b|"
    r"kod pocztowy|邮编|邮政编码|الرمز البريدي)[:\s]{0,3}(?:is |ist |est |es |è |"
    r"是 ?)?(?P<code>(?=[A-Z ]{0,4}\d)[A-Z0-9]{2,6}(?:[ -][A-Z0-9]{2,4})?)(?!\w)",
    re.IGNORECASE,
)
_HAN = "\u4e00-\u9fff"
_CHINESE = re.compile(
    rf"[{_HAN}\d]{{2,30}}?(?:路|街|道|巷|弄|胡同|里) ?\d{{1,5}} ?[号號弄](?:[{_HAN}\dA-Za-z-]{{1,12}}?[室楼座层户号])?"
    rf"|[{_HAN}]{{2,7}}(?:小区|花园|公寓|大厦|苑)[{_HAN}\dA-Za-z-]{{0,10}}?\d{{1,5}}[室号]"
)
# What leads up to a Chinese address is written without a blank before it.
_CHINESE_LEAD = re.compile(rf"^[{_HAN}]{{0,12}}(?:地址[是为改成]{{0,2}}|[在到至是往给寄]|改成|住址)(?=[{_HAN}]{{3}})")
_JAPANESE = re.compile(
    rf"〒 ?\d{{3}}-?\d{{4}}|(?:東京都|北海道|(?:京都|大阪)府|[{_HAN}]{{2,3}}県)"
    rf"[{_HAN}\u3040-\u30ff]{{2,30}}[\d-]{{1,12}}(?:号室?)?"
)
_ARABIC = re.compile(
    r"(?:شارع|حي|عمارة|شقة) (?:[\u0600-\u06ff]{2,15}[ ،]{1,2}){0,4}?(?:رقم )?\d{1,5}(?:[،,] ?[\u0600-\u06ff]{3,15})?"
)
_ARABIC_STREET = re.compile(
    r"(?:شارع|حي) (?:ال[\u0600-\u06ff]{2,15}|[\u0600-\u06ff]{3,15})(?: [\u0600-\u06ff]{2,15}){0,2}?(?=[،,.\n]|$)"
)
_COMPILED = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _WESTERN)


def addresses(text: str) -> Iterator[Span]:
    """Streets with a number, boxes and postcodes, with the place that follows. `text` is without what is ordinary."""
    for pattern in (*_COMPILED, _JAPANESE, _ARABIC, _ARABIC_STREET):
        for match in pattern.finditer(text):
            yield Span(*match.span(), Kind.ADDRESS)
    for match in _CALLED_POSTCODE.finditer(text):
        yield Span(*match.span("code"), Kind.ADDRESS)
    for match in _CHINESE.finditer(text):
        lead = _CHINESE_LEAD.match(match.group())
        yield Span(match.start() + (lead.end() if lead else 0), match.end(), Kind.ADDRESS)
