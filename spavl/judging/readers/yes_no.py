"""Yes or no in an answer to a yes/no question, and the rules that are published with the benchmarks beside it.

How an answer is read, the first that applies:

1. A refusal, and an empty text, are neither.
2. The leading word decides: "No, I don't see a dog"; "Yes and no", and a plain yes beside a plain no, are neither.
3. A stated answer: "… so the answer is no".
4. The first sentence that states or denies that something is there. A negation in its main clause makes it a no, an
   outer one ("I don't think that …", "It is not true that …") turns it round, two in one clause are not resolved.
5. A single yes or no at the end of a sentence. Anything else is neither.

English; the leading words of some other languages are known too.
"""

from __future__ import annotations

import re
from typing import Literal

from spavl.judging.readers.normalise import plain
from spavl.judging.readers.refusal import refuses

Reading = Literal["yes", "no", "neither"]
"""How an answer to a yes/no question is read."""

_OTHER: dict[Reading, Reading] = {"yes": "no", "no": "yes", "neither": "neither"}
_YES_WORDS = (
    "yes|yeah|yep|yup|true|correct|right|affirmative|indeed|absolutely|certainly|definitely|of course|sure|exactly|"
    "i think so|i believe so|it seems so|ja|si|sí|oui|sim|да|はい|是的|是|有|対|对"
)
_NO_WORDS = (
    "no|nope|nah|false|incorrect|wrong|untrue|negative|none|nothing|nobody|no one|neither(?! yes)|never|absent|nowhere|"
    "not at all|absolutely not|certainly not|definitely not|of course not|not really|not exactly|"
    "i'm afraid not|i am afraid not|i think not|i believe not|i don't think so|i do not think so|i don't believe so|"
    "i do not believe so|it seems not|not that i can see|nein|non|não|nej|нет|いいえ|不是|没有|不|否"
)
_CJK_END = r"(?=$|[^\w]|[\u3040-\u30ff\u4e00-\u9fff])"
_END = rf"(?:(?![\w'])|{_CJK_END})"
_LEAD_IN = re.compile(
    r"^(?:[\W_]|(?:sorry,? but|well|ok(?:ay)?|hmm*|so|ah|oh|my|the|short|final|(?:correct|right|best"
    r"|direct)(?= (?:answer|response)))\b\W*"
    r"|(?:answer|response|a|reply|verdict|conclusion|result|output|prediction)\b\s*(?:to (?:the|your) question\s*)?"
    r"(?:(?:is|would be|should be)\b|[:=-])\W*"
    r"|\\?boxed\b\W*(?:text\b)?|assistant\s*:)+",
    re.IGNORECASE,
)
_LEADING_NO = re.compile(rf"(?:{_NO_WORDS}){_END}", re.IGNORECASE)
_LEADING_YES = re.compile(rf"(?:{_YES_WORDS}){_END}", re.IGNORECASE)
_BOTH = re.compile(
    r"\W*(?:\b(?:and|or|und|et|y|o|oder)\b|[/|&]|,? then)\W*(?:also\W*)?(?:yes|no|nein|non|false|true)\b", re.I
)
_NO_IDEA = re.compile(
    r"^\W*(?:(?:nobody|no one|who) knows|(?:i have )?no idea|no answer"
    r"|no information)\b",
    re.IGNORECASE,
)
_IDIOM = re.compile(
    r"\b(?:there(?:'s| is| can be)\s+)?(?:no doubts?(?: about (?:it|that))?|no question(?: about (?:it|that))?"
    r"|without (?:a |any )?doubt)\b\s*(?:that\b|,|:|;|-)?"
    r"|\bno (?:problem|worries|wonder|need to|matter|longer than)\b|\bnot only\b|\bnot just\b|\bnothing but\b"
    r"|\bnone other than\b|\bno (?:fewer|less) than\b|\bwhether or not\b|\bif not\b",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"\b(?:answer|answer to (?:the|this|your) question|response|verdict|conclusion)\s*(?:is|would be|should be"
    r"|must be|:)"
    r"\s*(?:a\s+|an\s+|clearly\s+|therefore\s+|simply\s+|definitely\s+|most likely\s+)?[\"'({\[\\]*(?:boxed\{)?"
    r"(yes|no|true|false|negative|affirmative)\b"
    r"|\"(?:answer|response|verdict|result|prediction)\"\s*:\s*\"?(yes|no|true|false)\b|\\boxed\s*\{\W*(yes|no|true"
    r"|false)\b",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"(?:^|[.!?,:;\n-])\W*(?:(?:wait|actually|sorry|hmm|i mean|rather|but)\b\W*)*(yes|no)\W*(?=[.!?,;\n]|$)", re.I
)
_UNCERTAIN = re.compile(
    r"\b(?:(?:can(?:'t|not| not)|could(?:n't| not)|unable to|not able to|(?:hard|difficult|impossible|not possible"
    r"|not easy)"
    r"(?: for me)? to)\s+(?:\w+ly\s+)?(?:tell|say|determine|know|confirm|verify|answer|identify whether|judge"
    r"|be sure|be certain"
    r"|discern|decide|be determined|be seen from|be confirmed|be told|be answered|assess|ascertain|make out whether"
    r"|see whether"
    r"|see if|see (?:the |this |any )?(?:image|picture|photo)s?\b|view|access|process|analy[sz]e)"
    r"|(?:not|n't|un)\s*(?:entirely |completely |really |quite |totally |100% )?(?:sure|certain|clear|know)\b"
    r"|unclear|unsure"
    r"|uncertain|unknown|ambiguous|unspecified|who knows|nobody knows|no one knows|no idea|maybe|perhaps|possibly"
    r"|might|may|could be"
    r"|it depends|depends on|hard to|difficult to|i wonder|whether there|don't know|do not know|not enough|insufficient"
    r"|either yes or no|yes or no|hardly|barely|scarcely|supposedly|allegedly|(?:everything|anything|all) but)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+|(?<=[.!?])$")
_THINKS = re.compile(
    r"^\W*(?:(?:based on|according to|in|from|looking at|upon|after|judging by)\b[^,]{0,80},\s*)?"
    r"(?:(?:so|therefore|thus|hence|however|actually|clearly|yes|well|indeed|also|unfortunately|overall"
    r"|finally)\b,?\s*)*"
    r"(?:(?:i|we|you|one)\s+(?:can\s+|do\s+)?(?:clearly\s+|also\s+|only\s+)?"
    r"(?:(?:think|believe|would say|'d say|say|assume|guess|suppose)\s+(?:that\s+)?|(?:see|notice|confirm|observe"
    r"|find)\s+that\s+)(?=there\b|the\b|a\b|an\b|no\b|it\b|this\b)"
    r"|it\s+(?:looks|seems|appears)\s+(?:like|as if|as though|that|to me that)?\s*"
    r"|it\s+is\s+(?:true|correct|clear|obvious|evident|visible|the case)\s+that\s*|it's (?:true|correct"
    r"|clear) that\s*)?",
    re.IGNORECASE,
)
_TURNED = re.compile(
    r"^\W*(?:(?:i|we)\s+(?:do not|don't|did not|didn't|would not|wouldn't)\s+(?:think|believe|say"
    r"|suppose)\s+(?:that\s+)?"
    r"|(?:i|we)\s+(?:doubt|deny)\s+(?:that\s+)?"
    r"|(?:it|that)\s*(?:is|'s)\s*(?:not|n't)\s+(?:true|correct|the case|right|accurate)\s+(?:that|to say that"
    r"|to say)\s+"
    r"|it\s+isn't\s+(?:true|correct|the case|right|accurate)\s+(?:that|to say that|to say)\s+"
    r"|it\s*(?:is|'s)\s+(?:false|wrong|incorrect|untrue)\s+(?:that|to say that|to say)\s+"
    r"|it\s+(?:does not|doesn't)\s+(?:look|seem|appear)\s+(?:like|as if|as though|that)\s+)",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"n't\b|\b(?:not|no|none|nothing|nobody|never|neither|nowhere|cannot|fails? to|lacks?|absent"
    r"|without any|zero)\b|\b0\b(?![.,]?\d|\s?%)",
    re.I,
)
_CLAUSE_END = re.compile(
    r"[,;:(]|\s-\s|\b(?:but|and|which|who|that|because|since|although|though|while|with|as|so|even|however)\b", re.I
)
_BE = r"(?:is|are|was|were|'s|'re|isn't|aren't|wasn't|weren't|ain't)"
_STATES = re.compile(
    rf"^(?:there\s*(?:{_BE}|(?:does|do|did)(?:n't| not)\s+(?:appear|seem|exist)|(?:appears?|seems?)\b|exists?\b"
    rf"|(?:can|cannot|can't) be)"
    r"|(?:i|we|you|one)\s+(?:(?:do|does|did|can|could|am|are)(?:n't|\s*not)?\s+|cannot\s+|can't\s+"
    r"|couldn't\s+)?(?:\w+ly\s+|also\s+|really\s+|even\s+)?"
    r"(?:see|spot|find|notice|observe|detect|make out|able to (?:see|spot|find))\s+(?!if|whether|how|what|why"
    r"|the (?:image|picture|photo)\b)\w"
    r"|(?:the|this|that|your)\s+(?:\w+\s+)?(?:image|picture|photo|photograph|scene|figure|frame|drawing|painting)\s+"
    r"(?:clearly |also |actually |only )?(?:(?:does|do|did)(?:n't| not)?\s+(?:\w+ly\s+|appear to\s+|seem to\s+)?)?"
    r"(?:shows?|contains?|depicts?|includes?|has|have|features?|displays?|lacks?|fails? to show|appears? to (?:show"
    r"|contain|include|have|depict)"
    r"|seems? to (?:show|contain|include|have|depict))\b"
    rf"|(?:it|this|that|they|he|she|there)\s+(?:{_BE}|does|do|has|have|can|did|doesn't|don't|hasn't|haven't|can't"
    rf"|didn't)\s*(?:not)?\s*[.!]*$"
    r"|(?:no|none|neither|nothing|nobody|not)\b"
    rf"|[^.]{{1,80}}?\s{_BE}\s*(?:\w+ly\s+)?(?:not\s+)?(?:\w+ly\s+)?(?:visible|present|shown|there|depicted|seen"
    rf"|pictured|in (?:the|this)"
    r" (?:\w+\s)?(?:image|picture|photo|scene)|absent|missing|nowhere|featured|displayed|included|found|to be seen"
    r"|here)\b"
    r"|[^.]{1,80}?\s(?:can|cannot|can't|could)\s*(?:not\s+)?(?:\w+ly\s+)?be (?:seen|found|spotted|observed)\b"
    r"|[^.]{1,80}?\s(?:(?:does|do)(?:n't| not)\s+)?(?:appears?|seems?)\s+(?:not\s+)?(?:to be|(?=in\b))\s*(?:visible"
    r"|present|in (?:the|this) (?:image|picture|photo|scene)|absent))",
    re.IGNORECASE,
)
_IS = re.compile(
    r"^(\w+(?: \w+){0,2})(?:'s| is| looks| seems| appears) (not )?(?:very |quite |really )?(\w+)\b"
    r"(?! \w+ (?:is|are)\b)",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:in (?:short|fact|general|summary)|most likely|overall|generally|usually|clearly), ", re.IGNORECASE
)
_WHAT_IS_MEANT = frozenset({"it", "this", "that", "the", "picture", "image", "object", "thing", "scene"})
"""Words for what a question is about, whether they stand in it or not."""
_NO_QUALITY = frozenset(
    {"a", "an", "the", "no", "yes", "not", "or", "in", "on", "of", "there", "any", "anything", "something"}
)
_HARMFUL = frozenset({"dangerous", "unsafe", "harmful", "hazardous", "risky"})
_HARMLESS = frozenset({"safe", "harmless"})
_OPPOSITES = ((_HARMFUL, _HARMLESS), (_HARMLESS, _HARMFUL))
"""Words of one meaning, and their opposites."""
_QUALITY_ENDS = re.compile(
    r"^\s*(?:$|[.,;:!-]|(?:because|since|as|due|here|and|in|for|now|indeed|enough|next|near|beside|but)\b)"
    r"(?!.*(?:\b(?:if|unless|only|except)\b|\?))",
    re.IGNORECASE | re.DOTALL,
)
"""What may follow a quality that is stated as it was asked; not "safe to say", "dangerous if lit"."""
_ALTERNATIVES = re.compile(r"\b(?!yes\b)\w+ or (?!no\b|yes\b)\w+")
"""A question that gives two things to choose from; "yes or no" is none."""
_GONE = re.compile(r"\b(?:absent|absence of|lack of|missing|nowhere|lacks?|fails? to)\b", re.IGNORECASE)
_LAST_WORD = re.compile(r"\b(?:say|is|answer|think|be|be a|is a|with|guess|believe|a)\W+(yes|no)\W*$", re.IGNORECASE)


def read_yes_no(text: str, question: str = "") -> Reading:
    """An answer to a yes/no question read as yes, no, or neither.

    Args:
        text: the answer, without the thought.
        question: what was asked; then "It is dangerous" answers whether something is dangerous.
    """
    words = _IDIOM.sub(" ", plain(text)).strip()
    if not words or _NO_IDEA.match(words) or refuses(text):
        return "neither"
    for rule in (_leading, _stated):
        found = rule(words)
        if found is not None:
            return "neither" if question and _denies_itself(words, found, plain(question).lower()) else found
    sentences = [one.strip() for one in _SENTENCE.split(words) if one and one.strip()]
    found = next((found for one in sentences if (found := _sentence(one)) is not None), None)
    return found or _quality(sentences[0], plain(question).lower())


def _denies_itself(words: str, reading: Reading, question: str) -> bool:
    """Whether what comes after the leading word says the opposite: "No, the sky is blue" to "Is the sky blue?"."""
    rest = re.sub(r"^\W*(?:yes|no)\W+", "", words, flags=re.IGNORECASE)
    return rest != words and _quality(_SENTENCE.split(rest)[0].strip(), question) == _OTHER[reading] != "neither"


def _quality(sentence: str, question: str) -> Reading:
    """Whether a sentence says of the thing the quality that was asked about, or the opposite one."""
    said = _IS.match(_OPENING.sub("", sentence))
    asked = set(re.findall(r"[a-z]+", question))
    if not said or _UNCERTAIN.search(sentence) or not set(said.group(1).lower().split()) <= asked | _WHAT_IS_MEANT:
        return "neither"
    word = said.group(3).lower()
    if word in _NO_QUALITY:
        return "neither"
    if (asked & _HARMFUL and asked & _HARMLESS) or _ALTERNATIVES.search(question):
        return "neither"
    alike, opposite = next(((a, b) for a, b in _OPPOSITES if word in a), ({word}, frozenset[str]()))
    if not _QUALITY_ENDS.match(rest := said.string[said.end(3) :]) or _says_any(rest, opposite):
        return "neither"
    reading: Reading = "yes" if asked & alike else "no" if asked & opposite else "neither"
    return _OTHER[reading] if said.group(2) else reading


def _says_any(rest: str, words: frozenset[str]) -> bool:
    """Whether a text states one of some words, and does not deny it."""
    found = re.finditer(r"((?:\bnot|n't|\bnor|\bnever|\bnothing)(?: \w+)? )?\b(\w+)", rest.lower())
    return any(one.group(2) in words and not one.group(1) for one in found)


def _leading(words: str) -> Reading | None:
    """By the leading word; None where that is no yes and no no."""
    start = _LEAD_IN.sub("", words)
    for rule, reading in ((_LEADING_NO, "no"), (_LEADING_YES, "yes")):
        found = rule.match(start)
        if found:
            alone = {one.lower() for one in _ALONE.findall(words)}
            rest = start[found.end() :]
            contradicted = _BOTH.match(rest) or len(alone) > 1 or _stated(words) == "neither" or _agrees(found, rest)
            return "neither" if contradicted else reading  # type: ignore[return-value]
    return None


def _agrees(found: re.Match[str], rest: str) -> bool:
    """Whether a word such as "right" agrees that something is not there: "Right, there is no dog"."""
    agreeing = found.group().lower() in ("true", "correct", "right", "exactly", "indeed")
    return agreeing and _sentence(_SENTENCE.split(rest.lstrip(" ,;:.!-"))[0]) == "no"


def _stated(words: str) -> Reading | None:
    """By "the answer is …"; None where it is not stated, or in two ways."""
    found = {_reading("".join(groups)) for groups in _STATED.findall(words)}
    if len(found) > 1:
        return "neither"
    return found.pop() if found else None


def _sentence(sentence: str) -> Reading | None:
    """What a sentence states; None where it says nothing to the question, "neither" where it is uncertain."""
    turned = 0
    rest = _THINKS.sub("", sentence, count=1)
    while found := _TURNED.match(rest):
        turned, rest = turned + 1, _THINKS.sub("", rest[found.end() :], count=1)
    if _UNCERTAIN.search(sentence):
        return "neither"
    if sentence.endswith("?"):
        return None
    if not _STATES.match(rest):
        return _last_word(rest)
    negations = len(_NEGATION.findall(_main_clause(rest)))
    reading: Reading = "neither" if negations > 1 else "no" if negations or _GONE.search(_main_clause(rest)) else "yes"
    return _OTHER[reading] if turned % 2 else reading


def _main_clause(sentence: str) -> str:
    """The sentence up to where another clause begins, but for one that stands before the verb."""
    verb = _STATES.match(sentence)
    after = verb.end() if verb else 0
    end = _CLAUSE_END.search(sentence, after)
    return sentence[: end.start()] if end else sentence


def _last_word(sentence: str) -> Reading | None:
    found = _LAST_WORD.search(sentence)
    return _reading(found.group(1)) if found and not _NEGATION.search(sentence[: found.start()]) else None


def _reading(word: str) -> Reading:
    return "yes" if word.lower() in ("yes", "true", "affirmative") else "no"


def pope_official(text: str) -> Reading:
    """The parser published with POPE: yes unless a word of the first sentence negates. It reads a refusal as yes.

    Args:
        text: the answer.

    Source: https://github.com/AoiDragon/POPE/blob/main/evaluate.py
    """
    words = text.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def lmms_eval_yes_no(text: str) -> Reading:
    """The rule of lmms-eval for POPE: the whole answer, in lower case, is the label; "Yes." is none.

    Args:
        text: the answer.

    Source: https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/lmms_eval/tasks/pope/utils.py
    """
    word = text.lower().strip()
    return word if word in ("yes", "no") else "neither"  # type: ignore[return-value]


def vlmevalkit_yes_no(text: str) -> Reading:
    """The rule of VLMEvalKit for yes/no questions: the one of both words that stands in the answer.

    Args:
        text: the answer.

    Source: https://github.com/open-compass/VLMEvalKit/blob/main/vlmeval/dataset/utils/yorn.py
    """
    words = set(re.sub(r"[^\w\s]", " ", text.lower()).split())
    has_yes, has_no = "yes" in words, "no" in words
    return "neither" if has_yes == has_no else "yes" if has_yes else "no"
