"""E-mail addresses, links, IP addresses and telephone numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

import phonenumbers

from chatbot.training.redaction.reading import SPACED
from chatbot.training.redaction.spans import Kind, Span

_I = re.IGNORECASE

# Where a national number without a country code is looked up. More regions take more time and find more that is none.
REGIONS = (
    *("IE", "GB", "US", "CA", "DE", "AT", "CH", "FR", "BE", "NL", "ES", "PT", "IT", "PL", "CZ", "SE", "NO", "DK", "FI"),
    *("GR", "HU", "RO", "TR", "UA", "CN", "HK", "JP", "KR", "IN", "AU", "NZ", "BR", "MX", "EG", "SA", "AE", "MA", "ZA"),
)


# --- E-mail -----------------------------------------------------------------------------------------

_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-")
# What mail servers accept before the @, and twice more.
_LONGEST_LOCAL = 200
_DOMAIN = re.compile(r"(?:[A-Z0-9À-ɏЀ-ӿ-]{1,63}\.){1,8}[A-Z0-9À-ɏЀ-ӿ-]{2,63}|(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}", _I)
_SPELT = re.compile(
    r"(?<![\w.+-])[A-Z0-9](?:[\w.+-]{0,62}[\w+-])? ?(?:[(\[{] ?(?:at|ät|@|"
    r"arroba) ?[)\]}] ?[\w-]{1,63}(?: ?(?:[(\[{] ?(?:dot|punkt|punto|\.) ?[)\]}]|\.| dot | punkt ) ?[\w-]{2,63}){1,4}"
    r"| (?:at|arroba|ät) [\w-]{1,63}(?: (?:dot|punkt|punto) [\w-]{2,63}){1,4})",
    _I,
)


def emails(text: str) -> Iterator[Span]:
    """Addresses as they are written, and “jane (at) example (dot) com”."""
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        start = _start_of_local(text, at)
        if domain and start < at:
            yield Span(start, domain.end(), Kind.EMAIL)
        at = text.find("@", at + 1)
    for match in _SPELT.finditer(text):
        yield Span(*match.span(), Kind.EMAIL)


def _start_of_local(text: str, at: int) -> int:
    """Where the part before the @ begins. In ASCII it ends where other letters begin: 邮箱是ann@x.cn."""
    start = at
    is_ascii = at > 0 and text[at - 1].isascii()
    while start > max(0, at - _LONGEST_LOCAL):
        character = text[start - 1]
        belongs = character in _LOCAL or ("À" <= character <= "ɏ") or (not is_ascii and character.isalnum())
        if not belongs:
            break
        start -= 1
    while start < at and text[start] in ".'!#&*/=?^`{|}~":
        start += 1
    return start


# --- Links ------------------------------------------------------------------------------------------

_URL = re.compile(
    r"(?:https?://|www\.)[!-~À-ɏ]{2,2000}|(?<![\w@./-])(?:[A-Z0-9-]{1,63}\.){1,6}[A-Z]{2,24}/[!-~]{1,2000}", _I
)
_URL_END = re.compile(r"[^\s<>\"'()\[\]{}|\\^`]+")
_TOKEN = re.compile(r"(?=[\w=-]*\d)(?=[\w=-]*[A-Za-z])[\w=-]{16,}|\d{5,}|[0-9a-fA-F-]{24,}|@")


def links(text: str) -> tuple[list[Span], list[tuple[int, int]]]:
    """Links that may lead to somebody's own page, and the others, which nothing else may touch.

    A query, a fragment, a user, a number or a token makes a link personal.
    """
    personal: list[Span] = []
    others: list[tuple[int, int]] = []
    for match in _URL.finditer(text):
        inside = _URL_END.match(text, match.start(), match.end())
        if inside is None:
            continue
        url = inside.group().rstrip(".,;:!?…")
        start, end = match.start(), match.start() + len(url)
        path = url.split("//", 1)[-1].partition("/")[2]
        if any(sign in url for sign in "?#@") or any(_TOKEN.search(part) for part in path.split("/")):
            personal.append(Span(start, end, Kind.LINK))
        else:
            others.append((start, end))
    return personal, others


# --- IP addresses -----------------------------------------------------------------------------------

_V4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_V6 = re.compile(r"(?<![\w:.])(?:[0-9A-F]{0,4}:){2,8}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-F]{1,4})?(?![\w:])", _I)
_NOT_AN_IP = re.compile(
    r"(?:version|ver\.?|v|firmware|build|release|section|§|abschnitt|kapitel|chapter)[ .:]{0,2}$", _I
)
# ::1 and the like are nobody's.
_FEWEST_HEX = 4


def ip_addresses(text: str) -> Iterator[Span]:
    """Version 4 and 6; version numbers of programs are left alone where they are called so."""
    for pattern in (_V4, _V6):
        for match in pattern.finditer(text):
            try:
                ipaddress.ip_address(match.group())
            except ValueError:
                continue
            enough = sum(character.isalnum() for character in match.group()) >= _FEWEST_HEX
            if enough and not _NOT_AN_IP.search(text[max(0, match.start() - 12) : match.start()]):
                yield Span(*match.span(), Kind.IP)


# --- Telephone --------------------------------------------------------------------------------------

_CANDIDATE = re.compile(
    rf"(?<![{SPACED}@])(?:\+ ?|00(?=[1-9]))?\(?\d(?:[ ().\-/]{{0,3}}\d){{6,16}}(?:,? ?(?:ext|x|dw|durchwahl|poste|"
    rf"int)\.? ?\d{{1,5}})?(?![{SPACED}@])",
    _I,
)
_CUE = re.compile(
    r"(?:phone|tele?ph|\btel\b|mobile|\bcell|\bcall|\breach|whatsapp|\bsms|text me|\bfax|viber|\bsignal|telegram|"
    r"telefon|\bhandy|"
    r"rufnummer|\berreich|\banruf|\bruf\b|nummer|téléphone|portable|\bappel|joindre|numéro|teléfono|móvil|celular|"
    r"\bllam|cellulare|"
    r"\bchiam|telefoon|mobiel|\bbel(?:len)?\b|telefone|telem[óo]vel|\bligar|komórk|zadzwo|\bmobil|puhelin|τηλ|\bтел|"
    r"номер|звон|\bcep\b|"
    r"numara|电话|電話|手机|手機|号码|联系|打给|携帯|전화|번호|휴대폰|هاتف|جوال|موبايل|رقمي|اتصل|\bnumber)[^\n\d]{0,40}$",
    _I,
)
# Written in such groups a number is for a telephone: 212-555-0147, 612 345 678, 22 33 44 55.
_GROUPED = re.compile(
    r"\(?\d{3}\)?[ .-]\d{3}[ .-]\d{3,4}|\d{3}[ .-]\d{2}[ .-]\d{2}[ .-]\d{2}|\d{2}(?:[ .]\d{2}){3,4}|\d{5} \d{5}|"
    r"\d{4}[ -]\d{4}"
)
_CHINESE_MOBILE = re.compile(r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}")


def phone_numbers(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Numbers with a country code, and national ones that begin, are grouped or are introduced as telephone numbers.

    `text` is without what is ordinary: a date is a valid number somewhere.
    """
    for match in _CANDIDATE.finditer(text):
        if _is_phone(match.group(), text[max(0, match.start() - 60) : match.start()], regions):
            yield Span(*match.span(), Kind.PHONE)


def _is_phone(candidate: str, before: str, regions: Sequence[str]) -> bool:
    digits = "".join(character for character in candidate if character.isdigit())
    if candidate.startswith(("+", "00")):
        # A mistyped number is a number still, so it need not be valid.
        return _is_possible("+" + digits.removeprefix("00")) or 9 <= len(digits) <= 15
    if _CUE.search(before) and 7 <= len(digits) <= 15:
        return True
    if _CHINESE_MOBILE.fullmatch(candidate):
        return True
    if digits.startswith("0") or _GROUPED.fullmatch(candidate):
        return any(_is_valid(candidate, region) for region in regions)
    return False


def _is_possible(number: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return False


def _is_valid(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
