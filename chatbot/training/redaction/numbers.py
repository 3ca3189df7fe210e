"""Cards, bank accounts, orders and other numbers that lead to one person."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatbot.training.redaction.ordinary import DATE
from chatbot.training.redaction.reading import SPACED
from chatbot.training.redaction.spans import Kind, Span

_I = re.IGNORECASE

# --- Cards ------------------------------------------------------------------------------------------

_CARD_RUN = re.compile(r"(?<!\d)\d(?:[ .-]?\d){12,40}(?!\d)")
# Mistyped it is a card's number still.
_CALLED_CARD = re.compile(
    r"(?:card|karte|carte|tarjeta|carta|kaart|karta|cartão|kort|картa|卡|カード|بطاقة)(?:[ -]?(?:number|no\.?|nr\.?|"
    r"nummer|num[ée]ro|号))?"
    r"[:\s#]{0,3}(?:is |ist |est |es |è )?(?P<code>\d(?:[ -]?\d){12,18})(?!\d)",
    _I,
)
_CARD_STARTS = re.compile(r"4|5[1-5]|2[2-7]|3[0-9]|6")
_CARD_LENGTHS = (19, 16, 15, 14)


def cards(text: str) -> Iterator[Span]:
    """Runs of 14 to 19 digits that begin as cards do and pass Luhn's check, and others that are called a card's."""
    for called in _CALLED_CARD.finditer(text):
        yield Span(*called.span("code"), Kind.CARD)
    for run in _CARD_RUN.finditer(text):
        places = [index for index in range(run.start(), run.end()) if text[index].isdigit()]
        first = 0
        while first < len(places):
            length = _card_length(text, places, first)
            if length:
                yield Span(places[first], places[first + length - 1] + 1, Kind.CARD)
            first += length or 1


def _card_length(text: str, places: list[int], first: int) -> int:
    """How many digits from the first on are a card's; 0 where none are. Groups are not cut through."""
    starts_group = first == 0 or places[first] - places[first - 1] > 1
    if not starts_group:
        return 0
    digits = "".join(text[place] for place in places[first : first + _CARD_LENGTHS[0]])
    for length in _CARD_LENGTHS:
        ends_group = first + length == len(places) or (
            first + length < len(places) and places[first + length] - places[first + length - 1] > 1
        )
        if len(digits) >= length and ends_group and _CARD_STARTS.match(digits) and passes_luhn(digits[:length]):
            return length
    return 0


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# --- Bank accounts ----------------------------------------------------------------------------------

_IBAN_RUN = re.compile(r"(?<![A-Z0-9])[A-Z]{2} ?\d{2}(?:[ -]?[A-Z0-9]){11,30}", _I | re.ASCII)
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "FR GR IT MC MR SM", 28: "AL AZ CY DO GT HU LB PL SV BY", 29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
    }.items()
    for country in countries.split()
}  # fmt: skip
_FEWEST_DIGITS = 10
_IBAN_CUE = re.compile(r"\biban\b[^\n\d]{0,20}$", _I)


def ibans(text: str) -> Iterator[Span]:
    """Account numbers of the right length for their country that pass the check (ISO 13616), or are called IBAN."""
    for run in _IBAN_RUN.finditer(text):
        length = _IBAN_LENGTHS.get(run.group()[:2].upper(), 0)
        places = [index for index in range(run.start(), run.end()) if text[index].isalnum()][:length]
        if not length or len(places) < length:
            continue
        account = "".join(text[place] for place in places)
        if sum(sign.isdigit() for sign in account) < _FEWEST_DIGITS:
            continue  # a sentence: one in 97 passes the check
        if passes_mod_97(account) or _IBAN_CUE.search(text[max(0, run.start() - 30) : run.start()]):
            yield Span(places[0], places[-1] + 1, Kind.IBAN)


def passes_mod_97(account: str) -> bool:
    """Whether the account's check digits are right."""
    rearranged = account[4:] + account[:4]
    return int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1


# --- Numbers that are called what they are ------------------------------------------------------------

# What may stand between what a number is called and the number itself.
_NUMBER_WORD = (
    r"numbers?|no|nr|num|nummer|numer|numéro|número|numero|id|code|kod|n\.?[°ºo]|#|号码?|號碼?|编号|番号|번호|номер|رقم"
)
_GLUE = (
    r"[.:#\s()=,'\"-]{0,5}(?:(?:is|was|lautet|ist|est|es|é|è|jest|är|er|:|：|是|為|为|は|هو)[:\s]{0,3})?#?[\s'\"]{0,2}"
)
_CODE = rf"(?P<code>(?=[A-Z-]{{0,8}}\d)[A-Z0-9](?:[-_/]?[A-Z0-9]){{%d,29}})(?![{SPACED}])"
_BEGINS = r"(?<![^\W\d_])"

_ORDERS = (
    r"orders?|purchase|bestellung|auftrag|commande|pedidos?|encomenda|ordine|bestelling|zamówieni[eua]|beställning|"
    r"ordre|"
    r"sipariş(?:im)?|заказа?|الطلب|طلبي|طلبية|طلب"
)
_ORDER_NUMBERS = (
    r"bestell(?:ung)?s?-?(?:nummer|nr)|auftrags?-?(?:nummer|nr)|order(?:nummer|nr)|bestelnummer|"
    r"ordrenummer|zamówienie nr"
)
_ORDERS_UNSPACED = "订单|訂單|定单|注文|주문"
_REFERENCES = (
    r"tracking|track(?:ing)? ?(?:code|id)|shipment|parcel|package|consignment|sendung|paket|colis|suivi|envío|"
    r"seguimiento|spedizione|"
    r"tracciamento|customer|client|cliente|account|konto|compte|invoice|rechnung|facture|factura|fattura|faktura|"
    r"ticket|case|"
    r"reference|ref|referenz|vorgang|aktenzeichen|contract|vertrag|member(?:ship)?|loyalty(?: card)?|policy|serial|"
    r"gift ?card|"
    r"claim|rma|الشحنة|العميل|الفاتورة|التتبع"
)
_REFERENCE_NUMBERS = (
    r"(?:sendungs?|paket|kunden|konto|rechnungs?|vorgangs?|vertrags?|mitglieds?|klant|factuur|kund|"
    r"faktura)-?(?:nummer|nr)"
)
_REFERENCES_UNSPACED = "快递单|运单|物流|客户|发票|会员|追跡|送り状|송장"
_IDENTITIES = (
    r"passport|passeport|pasaporte|passaporto|(?:personal)?ausweis|id ?card|identity card|national id|"
    r"driving licen[cs]e|"
    r"driver'?s licen[cs]e|führerschein|social security|ssn|nino|ni number|tax id|steuer-?id|dni|nie|bsn|pesel|cpf|"
    r"جواز(?: السفر)?|الهوية"
)
_IDENTITY_NUMBERS = r"(?:(?:personal)?ausweis|steuer|pass|führerschein)-?(?:nummer|nr)"
_IDENTITIES_UNSPACED = "身份证|护照"


def _worded(names: str, numbers: str, unspaced: str, fewest: int) -> re.Pattern[str]:
    """A code of so many signs that is called somebody's number: “order number 123”, “Kundennr. 4711”, “订单号 123”."""
    before = rf"(?:{_NUMBER_WORD})[. ]{{0,2}}(?:de |d'|of |der |del |da |do |my |the )?(?:{names})"
    called = rf"{_BEGINS}(?:{before}|(?:{names})(?: with)?(?: the| my)?[\s-]?(?:{_NUMBER_WORD})|{numbers})"
    # Words of languages that put no blanks between them.
    return re.compile(
        rf"(?:{called}|(?:{unspaced})(?:号码?|號碼?|编号|番号|번호)?[是はがは]?)" + _GLUE + _CODE % (fewest - 1), _I
    )


def _bare(names: str, fewest: int) -> re.Pattern[str]:
    """“order 12345”, with enough signs that it cannot be a count."""
    return re.compile(rf"{_BEGINS}(?:{names})" + _GLUE + _CODE % (fewest - 1), _I)


_WORDED = {
    Kind.ORDER: _worded(_ORDERS, _ORDER_NUMBERS, _ORDERS_UNSPACED, 3),
    Kind.REFERENCE: _worded(_REFERENCES, _REFERENCE_NUMBERS, _REFERENCES_UNSPACED, 4),
    Kind.IDENTITY: _worded(_IDENTITIES, _IDENTITY_NUMBERS, _IDENTITIES_UNSPACED, 5),
}
_SHAPED = (
    (Kind.ORDER, _bare(_ORDERS, 5)),
    (Kind.ORDER, re.compile(r"(?<![\w&])#(?P<code>[A-Z]{0,4}-?\d{4,20})(?!\w)", _I)),
    (Kind.REFERENCE, _bare(_REFERENCES, 6)),
    # Parcels of UPS and of postal services (UPU S10) and DHL, then what a shop's own numbers mostly look like.
    (
        Kind.REFERENCE,
        re.compile(
            rf"(?<![{SPACED}-])(?P<code>1Z[A-Z0-9]{{16}}|[A-Z]{{2}}\d{{9}}[A-Z]{{2}}|JD\d{{16,20}})(?![{SPACED}])"
        ),
    ),
    (
        Kind.ORDER,
        re.compile(
            rf"(?<![{SPACED}-])(?P<code>[A-Z]{{1,4}}-?\d{{6,20}}|[A-Z]{{2,4}}-\d{{4}}-\d{{3,10}})(?![{SPACED}])"
        ),
    ),
    (Kind.IDENTITY, _bare(_IDENTITIES, 6)),
    (Kind.IDENTITY, re.compile(r"(?<![\d-])(?P<code>\d{3}-\d{2}-\d{4})(?![\d-])")),
    # Italy's codice fiscale, Britain's national insurance, China's resident identity.
    (
        Kind.IDENTITY,
        re.compile(
            r"(?<!\w)(?P<code>[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]|"
            r"[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D])(?!\w)"
        ),
    ),
    (
        Kind.IDENTITY,
        re.compile(r"(?<!\d)(?P<code>[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx])(?!\d)"),
    ),
)
_DNI = re.compile(r"(?<!\w)(?:\d{8}|[XYZ]\d{7})-?[A-Z](?!\w)")
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def called_numbers(text: str) -> Iterator[Span]:
    """Numbers that are called somebody's order, parcel, account or identity."""
    for kind, pattern in _WORDED.items():
        yield from _codes(pattern, text, kind)


def shaped_numbers(text: str) -> Iterator[Span]:
    """The same by their shape. `text` is without what is ordinary: an article's number has the shape of an order's."""
    for kind, pattern in _SHAPED:
        yield from _codes(pattern, text, kind)
    for match in _DNI.finditer(text):
        digits = match.group().replace("-", "").translate(str.maketrans("XYZ", "012"))
        if _DNI_LETTERS[int(digits[:-1]) % 23] == match.group()[-1]:
            yield Span(*match.span(), Kind.IDENTITY)


def _codes(pattern: re.Pattern[str], text: str, kind: Kind) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if sum(sign.isdigit() for sign in match.group("code")) >= 3:
            yield Span(*match.span("code"), kind)


# --- Births and passwords -----------------------------------------------------------------------------

_BIRTH = re.compile(
    rf"(?:\bborn|birth ?day|birth|\bd\.?o\.?b\b|geboren|geburtstag|geburtsdatum|geb\.|née?\b|naissance|nacid[oa]|"
    rf"nacimiento|nat[oa] il|nascita|"
    rf"geboortedatum|urodz|födelse|fødsels|出生|生日|生年月日|الميلاد|مواليد)[^\n\d]{{0,30}}(?P<code>{DATE})",
    _I,
)
_PASSWORD = re.compile(
    r"(?:passw(?:or)?d|passwort|kennwort|mot de passe|contraseña|wachtwoord|hasło|senha|lösenord|пароль|"
    r"密码|密碼|パスワード|"
    r"كلمة (?:المرور|السر)|"
    r"\bpin(?:-?code)?\b|\bcvv2?\b|\bcvc\b|security code|prüfziffer)\s{0,2}(?:is|was|ist|lautet|war|est|es|è|är|jest|"
    r"é|:|=|：|是|هي){1,2}[:\s]{0,2}"
    r"['\"“„]?(?P<code>[!-&(-~]{3,64})",
    _I,
)


def births(text: str) -> Iterator[Span]:
    """Dates that are called somebody's birthday."""
    for match in _BIRTH.finditer(text):
        yield Span(*match.span("code"), Kind.BIRTH)


def passwords(text: str) -> Iterator[Span]:
    """What follows “my password is”, unless it is a plain word: “my password is wrong”."""
    for match in _PASSWORD.finditer(text):
        value = match.group("code").rstrip(".,;!?)")
        if len(value) >= 3 and not value.isalpha():
            yield Span(match.start("code"), match.start("code") + len(value), Kind.PASSWORD)


# --- The rest -----------------------------------------------------------------------------------------

_LONG_RUN = re.compile(rf"(?<![{SPACED}.,])(?:\d{{9,40}}|\d{{3,}}(?:[ -]\d{{3,}}){{2,8}})(?![{SPACED}]|[.,]\d)")


def long_numbers(text: str) -> Iterator[Span]:
    """Long numbers that nothing explains: whatever they are, they are somebody's, and teach nothing.

    `text` is without what is ordinary.
    """
    for match in _LONG_RUN.finditer(text):
        yield Span(*match.span(), Kind.NUMBER)
