"""The option that an answer to a multiple-choice question chooses, and the rules published with the benchmarks.

How an answer is read, the first that applies: a marked letter (`\\boxed{B}`, JSON), a letter alone, a stated choice
("The answer is B"), a leading letter with a mark ("B) a cat"), the text of one option, a single letter in
brackets. Letters that are ruled out ("not A, but B") do not count, and two that are left are no choice. The article of
"A cat is on the mat" is no option A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from spavl.judging.readers.normalise import lines, plain
from spavl.judging.readers.refusal import refuses

LETTERS = "ABCDEFGHIJ"
"""Letters that options have, where nothing else is known."""
_LISTED = re.compile(r"^\s*[(\[]?([A-J])[).\]:][ \t]+(\S.*?)\s*$", re.MULTILINE)
_MARKED = re.compile(
    r"\\boxed\s*\{\W*(?:\\(?:text|mathrm|mathbf)\s*\{)?\W*([A-J])\b|\[\[\s*([A-J])\s*\]\]"
    r"|\"(?:answer|choice|option|final_answer|prediction|selected)\"\s*:\s*\"?[\s*(\[]*([A-J])\s*[\"},)\].:]"
    r"|答案\s*(?:是|为|選|选)?\s*:?\s*([A-J])(?![A-Za-z])",
    re.IGNORECASE,
)
_WORD = r"(?:options?|choices?|answers?|letters?|alternatives?)"
_LETTER = r"(?:[(\[{\"']\s*)?(?P<letter>[A-Ja-j])(?:\s*[)\]}\"'])?"
_AFTER = (
    r"(?=\s*$|\s*[.,;:!?\n)\]}]|\s+(?:because|since|as|for|which|is|was|would|seems|here|due|-|and|or|but|rather"
    r"|instead|not|in|given)\b"
    r"|\s*-|\s*\()"
)
_STATED = re.compile(
    rf"(?:\b{_WORD}|\bchoose|\bpick|\bselect|\bgo(?:ing)? with|\bgo for|\bchoosing|\bsay|\bthink|\bbelieve"
    rf"|\bit is|\bit's|\bthis is|\bthat is|\bthat's|\bit must be|\bwould be|\bguess)\s*"
    r"(?:(?:to (?:the|this|your) question|here|choice|option)\s*)?"
    rf"(?:is|are|would be|should be|must be|was|=|:|-)?\s*:?\s*(?:clearly |therefore |definitely |indeed |probably "
    rf"|most likely )?(?:{_WORD}\s*:?\s*)?"
    rf"{_LETTER}{_AFTER}",
    re.IGNORECASE,
)
_LEADING = re.compile(
    rf"^\W*(?:{_WORD}\s*:?\s*)?(?P<letter>[A-Ja-j])(?:\s*[)\]}}.:;,]|\s+-|\s*-\s|\s*\n|\s*$|(?=\s+(?:because|since"
    rf"|is (?:correct|right|the)|as (?:the|it))\b)"
    r"|(?=\s*\())",
    re.IGNORECASE,
)
_BARE = re.compile(r"^\W*([A-Ja-j])(?![+#])\W*$")
_BRACKETED = re.compile(r"[(\[]\s*([A-J])\s*[)\]]")
_TOKEN = re.compile(r"(?<![\w'])([A-J])(?![\w'])")
_LAST = re.compile(r"(?<![\w'])([B-HJ])(?![+#])\W*$")
_RULED_OUT = re.compile(
    r"(?:\b(?i:not|isn't|rather than|instead of|neither|nor|exclude|eliminate|rule out|ruled out|except|excluding"
    r"|can't be|cannot be|without)"
    rf"\s+(?:(?:{_WORD}|also|be|the)\s+)*[(\[]?([A-J])[)\]]?(?:\s*(?:or|and"
    rf"|nor)\s+(?:{_WORD}\s+)?([A-J])(?![\w']))?(?![\w'])"
    r"|[(\[]?(?<![\w'])([A-J])[)\]]?\s+(?:is|was|seems|are)\s*(?:n't|not|clearly|obviously|also)?\s*(?:wrong"
    r"|incorrect|false|not|impossible|ruled out|unlikely|out))",
)
_AND_SO = re.compile(r"^\W*(?:but|so|therefore|thus|hence|rather|instead)\b\W*", re.IGNORECASE)
_EITHER = re.compile(
    r"(?<![\w'])[A-J]\W{0,2}\s*(?:,|/|&|\bor\b|\band\b|(?<=[)\]]) ?(?=[(\[]))\s*"
    r"(?:(?:also|maybe|perhaps|possibly|option)\s+)?\W?[A-HJ](?![\w'])"
)
_LETTER_WITH_TEXT = re.compile(r"(?<![\w'])([A-J])(?:[).:] +| \()([^\n.,;:!?\"]{1,80})")
_SEEN = re.compile(r"(?<=[.!?]) (?:the|this) (?:picture|image|photo) shows [^.!?]+\W*$", re.IGNORECASE)
"""A last sentence that says what is seen: a model may decline first, and answer nevertheless."""
_DENIES = re.compile(
    r"(?:\b(?:not|no|neither|nor)|n't)\b(?! help but\b)|\b(?:never|hardly|unlike|instead of|rather than|without|doubt"
    r"|missing|absent|gone|lacks?|except|excluding|used to be)\b|\b(?:looks? like|resembles?|similar to)\b.*[;,]|"
    r"\b(?:looks? like|resembles?|similar to)\b.*\bbut\b|\?$"
)
NEAR = 200
"""Characters beside a letter in which it is looked for whether that is chosen."""
_TURNED_AWAY = re.compile(
    r"(?:\b(?:not|never|doubt|why|hardly|nobody|no one|some|many|others|people|hard to|wrong to|(?:everything|anything"
    r"|all|nothing) but|worst|least|second best|distractor|incorrect|wrong|first (?:guess|thought|impression)"
    r"|(?:you|user|models) (?:chose|picked|said|selected|might|could|may))|n't)\b(?:(?!\bbut\b)[^.,;:!?\n])*$"
    r"|\b(?:incorrect|wrong)(?: \w+)?\s*:\W*$|\b(?:unlike|as in|compared (?:to|with)|than)\s+(?:option\s+)?\W*$",
    re.IGNORECASE,
)
"""What before a letter, in its clause, says that it is not chosen, or that others choose it."""
_REJECTED = re.compile(
    r"^[)\]}\"']?(?:\?\s*\S|,? (?:which )?(?:is|was|would be|seems) (?:clearly |obviously |also )?(?:wrong|incorrect"
    r"|false|not)\b|\s(?:isn't|wasn't|can't|cannot|won't|doesn't)\b"
    r"|,? but (?:rather |the answer is |it is |it's )?[(\[]?[A-J]\b)",
    re.IGNORECASE,
)
"""What after a letter says that it is wrong, or asked."""
_NAME = re.compile(
    r"\b(?:vitamin|plan|figure|fig|class|grade|type|hepatitis|group|level|team|table|row|column|appendix|an?|(?:everything"
    r"|anything|all|nothing) but)\W+$",
    re.IGNORECASE,
)
"""What before a letter makes a name of it: "vitamin C"."""
_HELPS = re.compile(r"(?:(?:sure|certainly|of course|okay)\W+)?(?:to \w+ |step one\b|first,)|the \w+ procedure\b")
"""How help begins: instructions name a thing without choosing it."""
_FINAL = re.compile(r"\b(?:final|so|therefore|thus|hence|conclusion|overall)\b", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"^\W*(?:(?:the|my)\s+)?(?:(?:correct|right|best|final)\s+)*(?:answer|choice|option)?\s*(?:is|:)?\s*(?:it is"
    r"|it's|this is|that is|that's)?\s*",
    re.I,
)
_ARTICLE = re.compile(r"\b(?:a|an|the)\s+(?=\w)", re.IGNORECASE)


def options_in(question: str) -> dict[str, str]:
    """The options that a question lists, text by letter: lines such as `A. a cat`, from A on; empty if there are none.

    Args:
        question: the question as it is asked.
    """
    found = dict(_LISTED.findall(plain(question)))
    in_order = len(found) > 1 and "".join(found) == LETTERS[: len(found)]
    return found if in_order else {}


def read_option(text: str, letters: str = LETTERS, options: Mapping[str, str] | None = None) -> str | None:
    """The letter of the option that an answer chooses; None where it chooses none, or more than one.

    Args:
        text: the answer, without the thought.
        letters: letters that an option may have.
        options: text of the options by letter, where it is known: then an answer may be the text itself.
    """
    words = plain(text)
    known = dict(options or {})
    if not words:
        return None
    if (seen := _SEEN.search(words)) and refuses(words[: seen.start()]) and not refuses(seen.group()):
        words = text = seen.group().strip()
    found = _by_letter(words, known) or _by_text(words, known)
    if found is None or found == "?" or _contradicted(words, found, known):
        return None
    return found if found in (known or letters) and not (len(words) > 3 and refuses(text)) else None


def _by_letter(words: str, options: Mapping[str, str]) -> str | None:
    """The letter chosen; "?" where there are several; None where none is named."""
    marked = {"".join(groups).upper() for groups in _MARKED.findall(words)}
    if marked:
        return _only(marked)
    bare = _BARE.match(words)
    if bare:
        return bare.group(1).upper()
    if len(lines(words)) > 1 and (last := _BARE.match(lines(words)[-1])):
        first = _BARE.match(lines(words)[0])
        return _only({last.group(1).upper(), first.group(1).upper()} if first else {last.group(1).upper()})
    left = _AND_SO.sub("", _RULED_OUT.sub(" ", words))
    if not left.strip(" .,;:!"):
        return "?"
    stated = _stated(left)
    if stated is not None:
        return stated
    if options and (named := _by_text(words, options)):
        first = _LEADING.match(left)
        return "?" if first and first.group("letter").isupper() and first.group("letter") != named else None
    return _leading(left) or _mentioned(left)


def _stated(words: str) -> str | None:
    """What is stated as the choice; of several the one that is called final."""
    found = [one for one in _STATED.finditer(words) if not _is_article(one, words)]
    if not found:
        return None
    found = [one for one in found if not _is_rejected(one, words)]
    if not found or any(_EITHER.match(words, one.start("letter")) for one in found):
        return "?"
    chosen = {one.group("letter").upper() for one in found}
    if len(chosen) > 1:
        chosen = {
            one.group("letter").upper() for one in found if _FINAL.search(words[max(0, one.start() - 12) : one.end()])
        }
    return _only(chosen)


def _is_article(found: re.Match[str], words: str) -> bool:
    """Whether a small letter is a word: "the answer is a", followed by more, or the pronoun I."""
    letter, rest = found.group("letter"), words[found.end() :].lstrip()
    return letter in "aij" and letter.islower() and bool(re.match(r"\w", rest))


def _is_rejected(found: re.Match[str], words: str) -> bool:
    """Whether the clause denies the letter, or asks for it: "don't pick C", "some say C", "This is B? No."."""
    start, end = found.span("letter")
    before, after = words[max(0, start - NEAR) : start], words[end : end + NEAR]
    return bool(_TURNED_AWAY.search(before) or _REJECTED.match(after))


def _leading(words: str) -> str | None:
    """The letter at the beginning, unless other options stand beside it."""
    start = _LEADING.match(words)
    if not start:
        return _letter_and_text(words)
    letter = start.group("letter")
    if letter.islower() and not re.search(r"[)\]}:.]", start.group(0)):
        return None
    rejected = _REJECTED.match(words[start.end("letter") :])
    if rejected or _EITHER.match(words, start.start("letter")) or _is_list(words, letter.upper()):
        return "?"
    return letter.upper()


def _letter_and_text(words: str) -> str | None:
    """The letter of "B dog"; "A dog" and "I see" begin with words."""
    found = re.match(r"^\W*([B-HJ])\s+(?=\w)", words)
    if not found or _EITHER.match(words, found.start(1)) or _REJECTED.match(words[found.end(1) :]):
        return None
    return "?" if set(_TOKEN.findall(words)) - {found.group(1), "A", "I"} else found.group(1)


def _is_list(words: str, letter: str) -> bool:
    """Whether the answer repeats several options with their marks."""
    listed = {one.upper() for one in re.findall(r"(?:^|[\s,;(\"'])([A-J])[).:]\s", words)}
    return len(listed - {letter}) > 0


def _mentioned(words: str) -> str | None:
    """The only letter in brackets, or the only letter at all where it ends the answer."""
    bracketed = set(_BRACKETED.findall(words))
    if bracketed:
        return _only(bracketed)
    letters = set(_TOKEN.findall(words)) - {"I"}
    last = _LAST.search(words)
    if last and letters == {last.group(1)}:
        before = words[max(0, last.start(1) - NEAR) : last.start(1)]
        return None if _NAME.search(before) or _TURNED_AWAY.search(before) else last.group(1)
    return "?" if len(letters - {"A"}) > 1 else None


def _by_text(words: str, options: Mapping[str, str]) -> str | None:
    """The option whose text the answer is, or the only one whose text stands in it."""
    if not options:
        return None
    said = _comparable(_LEAD_IN.sub("", words, count=1))
    texts = {letter: _comparable(text) for letter, text in options.items()}
    same = {letter for letter, text in texts.items() if text and text == said}
    if same:
        return _only(same)
    held = {letter for letter, text in texts.items() if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said)}
    if len(held) != 1 or _HELPS.match(said):
        return None
    letter = held.pop()
    rest = said.replace(texts[letter], " ") + ("?" if words.rstrip(" \"')").endswith("?") else "")
    return None if _DENIES.search(rest) else letter


def _contradicted(words: str, letter: str, options: Mapping[str, str]) -> bool:
    """Whether the choice stands as a letter beside another option's text: "C. a bird" where the bird is D."""
    texts = {_comparable(text): one for one, text in options.items()}

    def named_in(said: str) -> str | None:
        return next((one for text, one in texts.items() if re.match(rf"{re.escape(text)}(?!\w)", said)), None)

    pairs = ((one, named_in(_comparable(text))) for one, text in _LETTER_WITH_TEXT.findall(words))
    return any(named not in (None, one) and letter in (one, named) for one, named in pairs)


def _comparable(text: str) -> str:
    return " ".join(_ARTICLE.sub("", plain(text)).casefold().strip(" .,;:!?\"'()").split())


def _only(found: set[str]) -> str:
    return found.pop() if len(found) == 1 else "?"


def vlmevalkit_option(text: str, letters: str = "ABCD", options: Mapping[str, str] | None = None) -> str | None:
    """The rule of VLMEvalKit before it asks a model: the one letter that is a word, or the one option's text.

    Args:
        text: the answer.
        letters: letters that an option may have.
        options: text of the options by letter.

    Source: https://github.com/open-compass/VLMEvalKit/blob/main/vlmeval/utils/matching_util.py (`can_infer`)
    """
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", text).split()
    named = [letter for letter in letters if letter in words]
    if len(named) == 1 and not (named == ["A"] and len(words) > 3):
        return named[0]
    held = [letter for letter, one in (options or {}).items() if one.lower() in text.lower()]
    return held[0] if not named and len(held) == 1 else None
