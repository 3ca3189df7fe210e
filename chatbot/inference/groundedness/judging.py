"""Whether what the bot says is in the sources that it was given.

A sentence is judged in two ways, and must pass both:

- **Hard facts** (`facts`), names, things on a screen and steps must be in the sources, each of them: one wrong
  number makes a fluent sentence harmful, and overlap does not see it. Checking atomic facts one by one is the idea of
  FActScore (Min et al. 2023) and Q² (Honovich et al. 2021), here with patterns in place of models.
- **The rest** must be about what the sources are about, by the share of its content stems that they have, the nearest
  source sentences counting more (as SummaC aggregates, Laban et al. 2022), and must not deny what they affirm
  (`claims`).

What this cannot see: most conditions that were dropped, who does what to whom, the sources' words in an order that
means something else, consequences that a person would draw, and words that neither the lists nor the sources know.
Measured with labelled pairs (`python -m tests.benchmarks.groundedness --pairs`). Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chatbot.inference.groundedness.checks import DECLINES, NEGATED, Reason, is_found, unsupported
from chatbot.inference.groundedness.claims import clauses, content_stems, contradicts
from chatbot.inference.groundedness.facts import Kind, extract_facts
from chatbot.inference.groundedness.sources import Sources, SourceSentence, in_words, without

# Chosen on the labelled pairs: below it more than half of the sentences are made up.
SUPPORT_FLOOR = 0.75
# What a stem counts that is in the sources but not near the sentence that says most of it.
_ELSEWHERE = 0.35
# What a stem takes away that is the customer's alone.
_TAKEN_OVER = 0.5
# A question's share that the sources must know before "Yes." alone can be an answer.
_ANSWERABLE = 0.6
# A clause and a source sentence speak of the same matter where they share this much of the clause.
_SAME_MATTER = 0.6
_NOTHING = SourceSentence("", frozenset(), (), ())

_OPENER = re.compile(r"^\W*(?P<word>yes|no|yeah|nope|yep|of course|sure|certainly|absolutely)\b[,.!:;–—-]*\s*", re.I)
_PIECE = re.compile(r".+?(?:[;.!](?=\s|$)|,? but\b|$)\s*", re.S)
_SUPPOSES = re.compile(
    r"\b(?:heard|told|read|said|says|true|correct|right|is it|isn't it|paid|does it|do(?:es)? \w+ take)\b", re.I
)
_UNDER_CONDITIONS = re.compile(
    r"\b(?:if|unless|while|provided(?: that)?|as long as|except|only (?:if|when|for|with)|but not"
    r"|wenn|sofern|falls|außer)\b"
    r"(?P<condition>[^,;.!?]*)",
    re.I,
)
_COURTESY = re.compile(
    r"\b(?:sorry|apologi[sz]e|apologies|thank(?:s| you)|you're welcome|happy to help|glad to help|anything else"
    r"|let me know|feel free to ask|good question"
    r"|i (?:see|understand)|have a (?:nice|great|good)|(?:i )?hope (?:this|that|it) helps"
    r"|hello|hi there|es tut mir leid|tut mir leid|gerne|désolé|lo siento|آسف)\b|抱歉|您好|你好|عذرا",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` is the share of the sentence that the sources have, 0 to 1; `reasons` is empty where it is supported."""

    score: float
    reasons: tuple[Reason, ...] = ()

    @property
    def supported(self) -> bool:
        return not self.reasons

    @property
    def only_its_opener(self) -> bool:
        """Whether nothing but its "Yes," or "No," is wrong."""
        return bool(self.reasons) and all(reason.kind == "answer" for reason in self.reasons)


def judge(sentence: str, sources: Sources) -> Verdict:
    """How far the sources support a sentence of a reply."""
    if in_words(sentence) in sources.verbatim:
        return Verdict(1.0)
    opener = _OPENER.match(sentence)
    body = sentence[opener.end() :] if opener else sentence
    claim = _claimed(body)
    stated = extract_facts(body)
    reasons = list(unsupported(body, claim, stated, sources))
    # "Refunds do not take 90 days": what the customer supposed is denied, the sources need not say a word of it.
    repeats_premise = not reasons and not all(is_found(fact, sources.facts, sources.folded) for fact in stated)
    claim_stems = content_stems(claim)
    looked_up = (fact for fact in extract_facts(claim) if fact.kind is not Kind.LABEL)
    score = _coverage(without(claim, looked_up), sources)
    if score < SUPPORT_FLOOR:
        reasons.append(Reason("content", body.strip()))
    elif not repeats_premise and _contradicted(claim, sources):
        reasons.append(Reason("contradiction", body.strip()))
    elif condition := _dropped_condition(claim, sources):
        reasons.append(Reason("condition", condition))
    if not claim_stems and NEGATED.search(claim):
        reasons.append(Reason("content", body.strip()))  # "We can't help you."
    if sources.question and in_words(sentence) == in_words(sources.question):
        reasons.append(Reason("echo", body.strip()))
    if opener and not _may_say(opener["word"], body, sources):
        reasons.append(Reason("answer", opener["word"]))
    return Verdict(round(score, 3), tuple(dict.fromkeys(reasons)))


def without_opener(sentence: str) -> str:
    """The sentence without its "Yes," or "No,"."""
    body = _OPENER.sub("", sentence, count=1)
    return body[:1].upper() + body[1:]


def claims_nothing(sentence: str) -> bool:
    """Whether a sentence is courtesy alone: a greeting, regret, a wish. "I don't know" is more than that."""
    says_something = DECLINES.search(sentence) or _OPENER.match(sentence)
    return not says_something and not content_stems(_claimed(sentence))


def _claimed(sentence: str) -> str:
    """The sentence without its courtesies, and without what it says it doesn't know."""
    pieces = (piece for piece in _PIECE.findall(sentence) if not DECLINES.search(piece))
    return "".join(_after_courtesy(piece) for piece in pieces)


def _after_courtesy(piece: str) -> str:
    before, _, after = piece.partition(", ")
    return after if _COURTESY.search(before) else piece


def _coverage(text: str, sources: Sources) -> float:
    """The share of content stems that the sources have; 1 where there are none."""
    stems = content_stems(text)
    if not stems:
        return 1.0
    wanted = frozenset(stems)
    near: frozenset[str] = max(
        (
            first.stems | second.stems
            for first, second in zip(sources.sentences, [*sources.sentences[1:], _NOTHING], strict=False)
        ),
        key=lambda pair: len(pair & wanted),
        default=frozenset(),
    )
    near |= frozenset().union(*(one.stems for one in sources.extra))
    found = sum(1.0 if one in near else _ELSEWHERE if one in sources.stems else 0.0 for one in wanted)
    # What only the customer has named is what a model affirms out of politeness.
    taken_over = len((wanted & sources.asked.stems) - sources.stems)
    return max(0.0, found - _TAKEN_OVER * taken_over) / len(wanted)


def _contradicted(text: str, sources: Sources) -> bool:
    """Whether the source sentences that have most of one of its clauses all deny it."""
    whole = frozenset(content_stems(text))
    for claim in clauses(text):
        shared = [(len(one.stems & claim.stems), len(one.stems & whole), one) for one in sources.sentences]
        most = max(((mine, all_of_it) for mine, all_of_it, _ in shared), default=(0, 0))
        # A single word is too little to go by, unless it is all that is denied: "we do not take cash".
        enough = most[0] >= 2 or (claim.sign < 0 and most[0] >= 1 and (most[1] >= 2 or len(claim.stems) == 1))
        if not enough or most[0] < _SAME_MATTER * len(claim.stems):
            continue
        nearest = [one for mine, all_of_it, one in shared if (mine, all_of_it) == most]
        if all(contradicts(claim, one.clauses) for one in nearest):
            return True
    return False


def _dropped_condition(text: str, sources: Sources) -> str:
    """The condition on which a source sentence says what the claim says without it; empty where there is none.

    Only where one sentence has all that is claimed: who gathers from several chooses what to say.
    """
    wanted = frozenset(content_stems(text))
    for source in sources.sentences:
        if len(wanted) < 2 or not wanted <= source.stems or _UNDER_CONDITIONS.search(text):
            continue
        for match in _UNDER_CONDITIONS.finditer(source.text):
            condition = frozenset(content_stems(match["condition"]))
            # One that comes first ("If it is late, …") is mostly what the customer has asked about.
            if match.start() and condition and condition.isdisjoint(wanted | sources.asked.stems):
                return match[0].strip(" ,.")
    return ""


def _may_say(opener: str, body: str, sources: Sources) -> bool:
    """Whether "Yes" or "No" fits what was asked, as far as can be told: "Yes" claims what the question supposes."""
    question = sources.question
    if not question.strip() or NEGATED.search(question):
        return True
    if not content_stems(body):
        known = [one for one in sources.asked.stems if one in sources.stems]
        if len(known) < _ANSWERABLE * len(sources.asked.stems):
            return False
    denied = _contradicted(question, sources)
    if opener.casefold() in ("no", "nope"):
        return True
    # "I heard it takes 90 days?" wants to know whether that is so; "I'm away for 2 months" does not.
    kinds = (Kind.DURATION, Kind.MONEY, Kind.PERCENT) if _SUPPOSES.search(question) else ()
    supposed = [fact for fact in sources.asked.facts if fact.kind in kinds]
    return not denied and all(is_found(fact, sources.facts) for fact in supposed)
