"""The words of dates, money and rates, in the languages that Frontdesk meets most. Data only."""

from __future__ import annotations

TOP_LEVELS = (
    "com|org|net|io|info|app|shop|store|dev|gov|edu|biz|cloud|online|example|test|local|eu|de|fr|es|it|nl|be|ch|at|uk|us|"
    "ie|pl|pt|se|no|dk|fi|cz|cn|jp|kr|in|au|nz|ca|br|mx|ru|tr|ae|co|me|tv"
)
SIGNS = {"€": "eur", "$": "usd", "£": "gbp", "¥": "cny", "₹": "inr", "₺": "try", "zł": "pln"}
CURRENCY_WORDS = {
    "eur": "eur", "euro": "eur", "euros": "eur", "usd": "usd", "dollar": "usd", "dollars": "usd", "gbp": "gbp",
    "pound": "gbp", "pounds": "gbp", "cny": "cny", "rmb": "cny", "yuan": "cny", "元": "cny",
    "chf": "chf", "francs": "chf",
    "franken": "chf", "kr": "kr", "sek": "kr", "nok": "kr", "dkk": "kr", "pln": "pln", "inr": "inr", "cent": "cent",
    "cents": "cent", "p": "cent", "ct": "cent", "pence": "cent", "aed": "aed", "درهم": "aed",
    "يورو": "eur", "دولار": "usd",
}  # fmt: skip
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier enero", "february feb februar février febrero", "march mar märz mars marzo",
            "april apr avril abril", "may mai mayo", "june jun juni juin junio", "july jul juli juillet julio",
            "august aug août agosto", "september sep sept septembre septiembre", "october oct oktober octobre octubre",
            "november nov novembre noviembre", "december dec dezember décembre diciembre",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_FORMS = {
    form: index
    for index, forms in enumerate(
        (
            "mondays? mon montags? lundi lunes 星期一 周一 الاثنين",
            "tuesdays? tues? dienstags? mardi martes 星期二 周二 الثلاثاء",
            "wednesdays? weds? mittwochs? mercredi miércoles 星期三 周三 الأربعاء",
            "thursdays? thurs? thu donnerstags? jeudi jueves 星期四 周四 الخميس",
            "fridays? fri freitags? vendredi viernes 星期五 周五 الجمعة",
            "saturdays? samstags? samedi sábado 星期六 周六 السبت",
            "sundays? sonntags? dimanche domingo 星期日 星期天 周日 الأحد",
        )
    )
    for form in forms.split()
}  # fmt: skip
WHEN = {
    "working days": r"\bweekdays?\b|\bwerktags?\b|(?<![\d个])工作日",
    "weekend": r"\bweekends?\b|\bwochenende\w*|周末",
    "daily": r"\bdaily\b|\b(?:every|each|any) day\b|\btäglich\b|\ball week\b|\bseven days a week\b|每天",
    "holiday": r"\b(?:public|bank) holidays?\b|\bfeiertag\w*",
    "today": r"\btoday\b|\btonight\b|\bheute\b|今天",
    "tomorrow": r"\btomorrow\b|\bmorgen\b(?! früh)|明天",
    "same day": r"\bsame[ -]day\b",
    "next day": r"\bnext[ -](?:working |business )?day\b|\bfollowing day\b",
    "overnight": r"\bovernight\b",
    "at once": r"\bimmediately\b|\binstant(?:ly)?\b|\b(?:right|straight) away\b|\bat once\b|\bsofort\b|立即|فورا",
    "always open": r"\b24/7\b|\bround the clock\b|\b24 hours a day\b",
}
PER = {
    "tag": "day", "nacht": "night", "jour": "day", "nuit": "night", "mois": "month", "an": "year", "天": "day",
    "woche": "week", "周": "week", "monat": "month", "月": "month", "jahr": "year", "年": "year", "stunde": "hour",
    "小时": "hour", "hourly": "hour", "weekly": "week", "monthly": "month", "yearly": "year", "annually": "year",
    "nightly": "night", "head": "person",
}  # fmt: skip
DURATIONS = frozenset(("second", "minute", "hour", "day", "working day", "night", "week", "month", "year"))
