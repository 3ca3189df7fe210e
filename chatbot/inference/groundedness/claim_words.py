"""The word lists behind `groundedness.claims`: words without meaning, that deny, that mean the same. Data only."""

from __future__ import annotations


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = _listed(
    """
    a an the this that these those it its itself they them their theirs he she his her we us our ours you your yours
    yourself i me my mine i'm i'll i've i'd we're we'll we've you're you'll you've you'd it's it'll that's there's
    they're
    they'll here's let's what's who's is am are was were be been being do does did doing done have has had having
    can could may
    might will would shall should must ought need needs needed want wants wish like likes get gets got getting make
    makes made making
    take takes taken taking put let lets of in on at to for from with as into onto about over under between through
    during against by via per than and or but nor so yet if then else when where while because although though
    whereas whether
    which who whom whose what how why there here too very just also only even still already again ever always usually
    often sometimes simply really quite rather well much many more most less least few some any all both each every
    other
    others another such same own one ones first second last next please sorry thank thanks hello hi hey dear yes
    yeah yep sure
    certainly course absolutely indeed ok okay however therefore thus otherwise instead moreover additionally note
    currently possible possibly able way ways thing things something anything everything someone anyone everyone once
    happy glad help helps assist assistance welcome question questions ask asked asking know say says said tell see
    look us
    out up down off back across along around near within without unless except etc eg ie e.g i.e e g s t re ve ll d m
    use uses used using go goes going gone come comes coming give gives given giving happen happens mean means
    receive received receives receiving new certain several upon yours information details
    regarding concerning mention mentions mentioned article following
    unfortunately apologise apologize apologies inconvenience hear understand understood
    am pm o'clock working business weekday weekdays
    """
)
_FOREIGN = _listed(
    """
    der die das den dem des ein eine einen einem einer eines und oder aber ist sind war wird werden wurde kann können
    könnt darf dürfen muss müssen soll sollen sie wir ihr ihre ihren ihrem ihrer uns unser unsere ich du er es man
    sich mit
    von vom zu zum zur auf aus an am im in bei bis für über unter um nach vor wenn dass ob auch leider noch nur
    schon bitte ja
    haben hat hatte als wie was wer wo hier dort dann so sehr mehr ihnen innerhalb
    le la les un une des du de et ou est sont vous nous votre vos notre nos il elle ils elles je tu ce cette ces
    dans sur
    par pour avec au aux en que qui si oui pouvez peut doit devez être avoir
    el los las una unos unas del al y o es son usted ustedes su sus nuestro nuestra se lo por para con sin que si puede
    puedes pueden debe en como más muy sí
    في من إلى على عن مع أو أن إن هو هي هذا هذه التي الذي يمكنك يمكن نعم كان قد كل
    的 了 是 在 和 您 我们 可以 请 吗
    """
)
STOPS = _ENGLISH | _FOREIGN
NEGATORS = _listed(
    """
    not no never cannot nor neither none nobody nothing without unable hardly
    nicht kein keine keinen keinem keiner keines nie niemals ohne pas jamais aucun aucune sans nunca sin ningún
    لا لم لن ليس ليست غير بدون
    不 没 无 未
    """
)
UNTIL = _listed("until till before prior within bis vor innerhalb jusqu'à avant hasta antes")
AFTER = _listed("after once since afterwards nach nachdem après después")

# What denies by itself, and what it denies.
OPPOSITES: dict[str, str] = {
    "closed": "open",
    "excluded": "included",
    "forbidden": "allowed",
    "prohibited": "allowed",
    "banned": "allowed",
    "refused": "accepted",
    "rejected": "accepted",
    "impossible": "possible",
    "unavailable": "available",
    "optional": "required",
    "disabled": "enabled",
    "unlimited": "limited",
    "unlocked": "locked",
    "expired": "valid",
    "invalid": "valid",
    "inactive": "active",
    "decreased": "increased",
}

# word or stem → the stem that stands for all of its kind
SAME: dict[str, str] = {
    form: forms.split()[0]
    for forms in (
        "leave left leaves leaving leav",
        "send sent",
        "arrive arrival arriv arrives",
        "keep kept",
        "write wrote written writ",
        "hold held",
        "find found",
        "collect pickup pick-up",
        "car vehicle vehicl auto",
        "call phone phon telephon telephone ring calling calls called",
        "buy purchas purchase bought",
        "ship dispatch despatch shipp shipment shipping",
        "parcel packag package packages parcels",
        "email e-mail mail emails mails e-mails emailed",
        "site websit website webpage sites",
        "photo pictur imag photograph photos pictures image images picture",
        "cost fee charg price pric costs fees charge charges charged prices priced",
        "choose choic choice select pick tap click press chose chosen selec chos choos tapp clicked pressed",
        "signin login log sign logg",
        "allow permitted permits allowed",
        "child children kid kids childs",
        "bring carry brought carr carri",
        "start begin begun beginn",
        "end finish",
        "fix repair",
        "return returned returns returning",
        "refund reimburs reimburse refundable refundabl refunds",
        "pay paid payment paying pays",
        "require requir required mandatory obligatory requires",
        "bike bicycl bicycle bikes bicycles",
        "shop store stor stores shops",
        "lose lost",
        "driver licence license licenc licens",
        "pincode pin",
        "cancel cancell cancellation cancellations canceled cancelled",
        "complete completed complet",
        "deliver delivery deliveries delivered delivers",
        "contact reach",
        "change modify modifi modif chang changed changes",
        "book reserv reserve booking bookings reservation reservations booked reserved",
        "guest visitor",
        "apply application applications applied applies",
        "renew renewal renewed renewals",
        "cheap cheaper",
        "team staff agent",
    )
    for form in forms.split()
}
# Things on a screen: naming one that the source does not name is making up a step.
SCREEN_WORDS = _listed(
    "button page link icon menu tab form app screen section dashboard portal profil setting settings inbox cart basket "
    "checkout chatbot "
    "chat banner popup window field box dropdown checkbox site"
)
# What one can be told to do. Words of `SAME` stand for their kind.
ACTION_WORDS = _listed(
    "call email contact download upload scan print restart reset enter fill type submit visit "
    "navigat signin register bring show writ text attach confirm open reply unplug update replac collect"
)
