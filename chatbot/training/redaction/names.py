"""People's names, where something beside them says that they are names: “my name is”, “Mr”, a closing line.

A name that nothing introduces is beyond patterns; Presidio finds more of them (`presidio.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatbot.training.redaction.addresses import UPPER
from chatbot.training.redaction.spans import Kind, Span

_CAPITAL = rf"(?-i:[{UPPER}])"
_SMALL = r"[^\W\d_]"
_PARTICLE = r"(?-i:van|von|de|der|den|del|della|di|da|dos|du|la|le|al|el|bin|ibn|bint|ten|ter|zu|y|Mc|Mac|O['’])"
_NAME = rf"(?:{_CAPITAL}{_SMALL}{{1,20}}(?:['’.-]{_SMALL}{{1,20}}){{0,2}}|{_CAPITAL}(?:['’]{_SMALL}{{1,20}}|\.|(?!\w)))"
_FULL = rf"{_NAME}(?:[ -](?:{_PARTICLE} ){{0,2}}{_NAME}){{0,3}}"
_TWO = rf"{_NAME}(?: (?:{_PARTICLE} ){{0,2}}{_NAME}){{1,3}}"


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Words with a capital that begin a sentence, address everybody or tell where from, and are nobody's name.
_NO_NAME = _words(
    """
    there all everyone everybody team sir madam madame sirs customer customers support service folks guys friend
    dear hello hi hey thanks thank please sorry yes no not still just very also only here well ok okay the this that
    these those my your our his her their it its is are was were what when where which who why how can could would
    should will do does did have has had i i'm we you he she they and but or if so as at by for from in of on to
    with about after again already back been being order orders parcel package delivery refund return returns
    invoice item items account password email e-mail phone address card payment price voucher code shop store
    website page chat bot assistant agent human person staff manager urgent ridiculous unacceptable unhappy monday
    tuesday wednesday thursday friday saturday sunday january february march april may june july august september
    october november december christmas easter today tomorrow yesterday irish british english scottish welsh german
    french spanish italian dutch polish portuguese swedish danish norwegian finnish american canadian chinese
    japanese indian european austrian swiss belgian greek turkish russian ukrainian australian guten morgen tag
    abend damen herren kundenservice kundendienst zusammen alle leute ich und nicht auch noch schon sehr mein meine
    bitte danke bestellung paket rechnung lieferung hallo liebe lieber frau herr bonjour merci commande colis
    monsieur messieurs mesdames tous toutes je hola gracias pedido buenos buenas días tardes noches señores señor
    señora todos yo ciao grazie ordine salve tutti buongiorno buonasera signori klantenservice mevrouw meneer heer
    """
)

_STRONG = (
    r"my (?:full |first |last )?name(?:'s| is|:)|the name(?:'s| is)|i am called|name on (?:the )?(?:order|account|"
    r"card)(?: is|:)|"
    r"full name(?: is|:)|account holder(?: is|:)?|card ?holder(?: is|:)?|in the name of|under the name(?: of)?|"
    r"recipient(?: is|:)|"
    r"mein name (?:ist|lautet)|ich hei(?:ß|ss)e|auf den namen|kontoinhaber(?:in)?(?: ist|:)?|empfänger(?:in)?(?: ist|"
    r":)|"
    r"je m['’]appelle|mon nom (?:est|:)|au nom de|me llamo|mi nombre es|a nombre de|mi chiamo|il mio nome [eè]|"
    r"a nome di|intestat[ao] a|"
    r"mijn naam is|ik heet|op naam van|nazywam się|mam na imię|meu nome [eé]|(?:me )?chamo-?(?:me)?|em nome de|"
    r"jag heter|mitt namn är|"
    r"jeg hedder|jeg heter|mit navn er|mitt navn er|nimeni on|jmenuji se|a nevem|mă numesc|numele meu este|με λένε|"
    r"benim adım|adım|"
    r"меня зовут|мо[её] имя|на имя|мене звати"
)
# After these even a name in small letters is one: “my name is jane doe and”.
_SMALL_NAME = rf"{_SMALL}{{2,20}}(?:['’-]{_SMALL}{{2,20}})?"
_ENDS_SMALL = _words(
    """
    and but i my the is was from with not on in at for to wrong correct misspelled spelled spelt und aber ich mein
    aus et mais je de y pero yo mi e ma ho en maar ik a và и но я
    """
)
_TITLE = (
    r"(?-i:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herr|Herrn|Frau|Hr|Fr|Monsieur|Madame|Mme|Mlle|Señor|Señora|Señorita|Sr|Sra|Srta|"
    r"Don|Doña|Signor|"
    r"Signora|Sig|Dhr|Mevr|Mevrouw|Meneer|Senhor|Senhora|Pani|Господин|Госпожа)\.?"
)
_CLOSING = (
    r"(?:kind |best |warm |many )?regards|sincerely|yours(?: truly| faithfully)?|cheers|best wishes|all the best|"
    r"many thanks|thanks|"
    r"thank you|thx|best|greetings|(?:mit )?(?:freundlichen|besten|vielen|lieben|liebe|viele|beste|schöne) gr(?:ü|"
    r"ue)(?:ß|ss)en?|"
    r"gr(?:ü|ue)(?:ß|ss)e?|mfg|lg|vg|danke|cordialement|bien à vous|merci|salutations|un saludo|saludos|atentamente|"
    r"gracias|"
    r"cordiali saluti|saluti|grazie|groet(?:en|jes)?|met vriendelijke groet(?:en)?|bedankt|pozdrawiam|dziękuję|"
    r"hälsningar|mvh|hilsen|"
    r"atenciosamente|cumprimentos|obrigad[oa]|terveisin|с уважением|спасибо|saygılarımla|teşekkürler"
)
_GREETING = (
    r"hi|hello|hey|dear|hallo|liebe[r]?|sehr geehrte[r]?|guten tag|moin|servus|bonjour|salut|chère?|hola|querid[oa]|"
    r"estimad[oa]|ciao|"
    r"gentile|caro|cara|beste|geachte|goedendag|cześć|dzień dobry|olá|caro|hej|hei|привет|здравствуйте|merhaba"
)
_CUED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\w)(?:{_STRONG})[\s:,\"“„]{{1,3}}(?P<name>{_FULL})",
        rf"(?<!\w)(?:{_TITLE}) (?P<name>{_FULL})",
        # Anna Kowalska here · this is Anna from Cork · I'm Anna Kowalska
        rf"(?<!\w)(?:this is|it's|it is|hier ist|hier spricht|ici|soy|sono|sou|aqui é|habla|met|tu|här är|"
        rf"aquí) (?P<name>{_FULL})(?= (?:here|speaking|from|calling|aus|de|da|van|z)\b|[,.!\n])",
        rf"(?<!\w)(?:i am|i'm|i’m|im|ich bin(?: der| die)?|je suis|yo soy|soy|io sono|sono|ik ben|jestem|eu sou|sou|"
        rf"jag är|jeg er|bunlar ben|я) (?P<name>{_TWO})",
        rf"(?<!\w)(?:i am|i'm|i’m|ich bin(?: der| die)?|je suis|soy|sono|ik ben|jestem|"
        rf"sou) (?P<name>{_NAME})(?=[,.!\n]| (?:and|und|et|y|e|en|i|from|aus)\b|$)",
        rf"(?:^|[\n.!?,] ?)(?P<name>{_FULL}) (?:here|speaking|hier|ici)(?=[,.!\n-]|$)",
        rf"(?:^|[\n.!?,;] {{0,2}})(?:{_CLOSING})[,.!\s-]{{1,4}}(?P<name>{_FULL})[ .!]{{0,2}}(?=\n|$)",
        rf"\n-{{1,2}} ?(?P<name>{_FULL})[ .]{{0,2}}$",
        rf"(?:^|\n)(?:{_GREETING}) (?:{_TITLE} )?(?P<name>{_NAME}(?: {_NAME})?)(?=[,!.:\n]| -|$)",
        rf"(?:^|\n)(?:{_GREETING}) (?P<name>{_NAME})(?= (?:i|my|can|could|where|when|ich|wo|wann|je|mi|how|thanks|"
        rf"thank)\b)",
        rf"(?:\bname|\bnom|\bnombre|\bnome|\bnaam|\bnamn|imię|\bnavn|имя|\bisim|姓名|名前|收件人|"
        rf"收货人) ?[:：=] ?(?P<name>{_FULL}|[\u4e00-\u9fff]{{2,4}})",
        rf"(?:addressed to|c/o|z\.? ?hd\.?|attn\.?:?|à l'attention de|f\.a\.o\.?) (?P<name>{_FULL})",
        rf"my (?:wife|husband|partner|son|daughter|mother|father|mum|mom|dad|brother|sister|neighbou?r|colleague|"
        rf"friend|boss),? (?P<name>{_FULL})",
        rf"(?:spoke|talked|chatted|speaking|talking|chatting|gesprochen|telefoniert|parlé|hablé) (?:to|with|mit|avec|"
        rf"con) (?:your |a )?(?:colleague |agent |kolleg(?:e|in) )?(?P<name>{_FULL})",
    )
)
_SMALL_CUED = re.compile(
    rf"(?<!\w)(?:{_STRONG})[\s:]{{1,2}}(?P<name>{_SMALL_NAME}(?: {_SMALL_NAME}){{0,2}})", re.IGNORECASE
)

# The commonest hundred surnames bear 85 % of China's people.
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖"
    "贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤陳張劉黃趙吳許鄭謝羅馬孫葉蘇鄧"
)
_CHINESE = (
    re.compile(
        rf"(?:我叫|我的名字[是叫]|名叫|姓名[是为：:]|我姓|本人)(?P<name>[{_SURNAMES}][\u4e00-\u9fff]{{1,2}})(?=[，,。.!！、\s]|$)"
    ),
    re.compile(rf"(?:我叫|我的名字[是叫]|名叫)(?P<name>[{_SURNAMES}][\u4e00-\u9fff]{{1,2}})"),
    re.compile(r"(?:我叫|我的名字[是叫]) ?(?P<name>[A-Z][a-z]{1,20}(?: [A-Z][a-z]{1,20})?)"),
    re.compile(rf"(?P<name>[{_SURNAMES}][\u4e00-\u9fff]{{0,2}})(?=先生|女士|小姐|太太)"),
    re.compile(r"(?P<name>[\u4e00-\u9fff]{2,4}|[\u30a0-\u30ff]{2,8})(?=と申します|といいます|と言います)"),
    re.compile(r"(?:제 이름은|저는) ?(?P<name>[\uac00-\ud7a3]{2,4}?)(?=입니다|이에요|예요|이고)"),
)
_ARABIC_WORD = r"[\u0621-\u064a]{2,15}"
# “and”, “I want”, “from”: what follows a name. Names too begin with و, so that letter alone says nothing.
_NOT_ARABIC_NAME = (
    r"(?!(?:و(?:أنا|رقم|عندي|لدي|أريد|اريد|طلبي|هذا)|أريد|اريد|من|في|على|هل|عندي|لدي|"
    r"طلبت|طلبي|هنا|لم|لا|قد|منذ)(?:\s|$|[،,.]))"
)
_ARABIC = re.compile(
    rf"(?:اسمي(?: هو)?|أنا اسمي|السيدة?|الأستاذة?|الاسم ?[:：]?|باسم) "
    rf"(?P<name>{_NOT_ARABIC_NAME}{_ARABIC_WORD}(?: {_NOT_ARABIC_NAME}{_ARABIC_WORD}){{0,1}})(?![\u0621-\u064a])"
)


_MENTIONED = re.compile(rf"{_SMALL}+(?:['’-]{_SMALL}+){{0,2}}")


def names(text: str) -> Iterator[Span]:
    """Names that something introduces."""
    for pattern in _CUED:
        for match in pattern.finditer(text):
            span = _without_others(text, *match.span("name"))
            if span is not None:
                yield Span(*span, Kind.NAME)
    for match in _SMALL_CUED.finditer(text):
        yield from _small(text, match.start("name"), match.group("name"))
    for pattern in (*_CHINESE, _ARABIC):
        for match in pattern.finditer(text):
            yield Span(*match.span("name"), Kind.NAME)


def mentions(text: str, known: frozenset[str]) -> Iterator[Span]:
    """Where names that are known from elsewhere in the conversation stand, alone too. `known` are in small letters."""
    begun: Span | None = None
    for match in _MENTIONED.finditer(text):
        word = match.group()
        if word.casefold() not in known or word[0].islower():
            continue
        if begun is not None and text[begun.end : match.start()] == " ":
            begun = Span(begun.start, match.end(), Kind.NAME)
            continue
        if begun is not None:
            yield begun
        begun = Span(*match.span(), Kind.NAME)
    if begun is not None:
        yield begun


def parts(name: str) -> Iterator[str]:
    """The words of a name by which it may be mentioned again, in small letters."""
    for word in re.split(r"[\s.]+", name):
        if len(word) >= (3 if word.isascii() else 2) and word.casefold() not in _NO_NAME:
            yield word.casefold()


def _without_others(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Without a leading title and from the first word on that is none of a name's; None where nothing is left."""
    words = list(re.finditer(r"\S+", text[start:end]))
    # “This is URGENT” is no name, unless everything is written so.
    shouted = text.isupper()
    kept = 0
    for word in words:
        plain = word.group().strip(".,'’")
        if plain.casefold() in _NO_NAME or (len(plain) > 3 and plain.isupper() and not shouted):
            break
        kept += 1
    if not kept:
        return None
    return start, start + words[kept - 1].end()


def _small(text: str, start: int, found: str) -> Iterator[Span]:
    end = start
    for word in re.finditer(r"\S+", found):
        if word.group().casefold() in _ENDS_SMALL or word.group().casefold() in _NO_NAME:
            break
        end = start + word.end()
    if end > start:
        yield Span(start, end, Kind.NAME)
