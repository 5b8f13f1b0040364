"""Habits of language that the program's texts avoid, as regular expressions."""

from __future__ import annotations

import re

HABITS: tuple[tuple[str, str], ...] = (
    # (what is avoided, what to write instead)
    (r"(?<!there )(?<!There )\b(is|are|was|were) no\b(?! longer| more\b| one\b)", "is not a, has no"),
    (r"\b(told|telling)\b(?! apart)|\btells?\b(?!( \w+){1,3} apart)", "reports, says, shows, decides"),
    (r"\bof then\b", "original"),
    (r"\bbecomes? of\b", "a noun: outcome, result"),
    (r"\bso many\b|\bso much\b(?! as)", "N, this many"),
    (r"\bsuch\b(?! as\b)", "this kind of"),
    (r"\blikewise\b", "also"),
    (r"\ball but\b", "almost"),
    (r"\bnought\b", "zero"),
    (r"\banew\b", "again"),
    (r"\breckon", "computes, estimates"),
    (r"\bonce more\b", "again"),
    (r"\bthat (is|are) none\b", "not a number, not finite"),
    (r"\b(he|she|him|his|hers|her|himself|herself)\b(?! et al)", "they, the person"),
    (r"\bsomebody\b", "a person, another user"),
    (r"\bwant of\b", "lack of; probably out of"),
    (r"\bin hand\b", "current"),
    (r"\bcommand goes on\b|\bto go on\b|\bgoes on with\b|\bgo on with\b", "resume, continue"),
    (r"\b(stop|end)s? in time\b", "time limit"),
    (r"\blook at (the )?first faces\b", "calibration"),
    (r"\bone's own\b|\bof one's\b", "your own"),
    (r"\blies (beside|behind|below|next to|under)\b|\blie (beside|behind|below|next to|under)\b", "is, are"),
    (r"\bwhoever\b|\bwhosoever\b|\bwhom\b|\bthereof\b|\bwherein\b|\bwhereof\b", "who, anyone who"),
    (r"\bis passed over\b|\bpassed over\b|\bpass over\b", "skip, ignore"),
    (r"\bthe way back\b|\bin the way\b", "say what blocks it"),
    (r"\bin force\b", "active, in use"),
    (r"\bby itself\b", "on its own, already"),
    (r"\bdo without\b", "remove, turn off"),
    (r"\bcolour(s|ed|ing)?\b", "color"),
    (r"\bgrey\b", "gray"),
    (r"\banalys(ed?|ing)\b", "analyze"),
    (
        r"\b(recogni|organi|synchroni|initiali|normali|minimi|maximi|optimi|summari|reali|generali)s(e|es|ed|ing|ation)\b(?!\.\w)",
        "-ize",
    ),
    (
        r"\b(licence|centre|behaviour|favourite|neighbour|labelled|cancelled|travelled|catalogue)s?\b",
        "American spelling",
    ),
)
COMPILED = tuple((re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in HABITS)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_CODE = re.compile(r"``[^`]+``|`[^`\n]*`|--[\w-]+|\]\([^)]*\)|<[^>\n]*>|https?://\S+|'[\w.-]+'(?=[,; )]|$)")


def habits_in(text: str, *, code: bool = True) -> list[str]:
    """What ``text`` should not say, each with its surroundings; code, option names and links do not count."""
    if code:
        text = _CODE.sub(" ", _FENCE.sub(" ", text))
    text = " ".join(text.split())
    found = []
    for pattern, instead in COMPILED:
        for match in pattern.finditer(text):
            around = text[max(match.start() - 40, 0) : match.end() + 30]
            found.append(f"{match[0]!r} in '...{around}...': write {instead}")
    return found
