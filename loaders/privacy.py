"""Keeps people out: names, telephone numbers and e-mail addresses in what sources write as free text.

Hides the patterns. The rule is docs/decisions/0012-personal-data.md: organisations only. A place or sponsor
is kept when its name says that it is an institution; free text is kept with its personal data cut out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from pyoxigraph import Literal, Quad

from kg.terms import DCTERMS, STROMA, XSD
from loaders.patterns import folded, stands

# Words of which one is enough: hospitals and universities are often named after a doctor.
_NAMED_AFTER = (
    r"hosp(?:it|tial)|hopsital|hôpita|hopita|osped|spedali|hastane|nemocnice|szpital|krankenhaus|ziekenhuis|"
    r"bolni|rumah sakit|universi|unviersi|üniversite|uniwersyt|foundation|fundaci|fundação|maternidade|"
    r"idib|recerca|investigaci|medical cent|cancer cent|air force|\bRSUPN?\b|universty|krakenhaus|fondation"
)
_INSTITUTION = re.compile(
    rf"{_NAMED_AFTER}|instit|instytut|istitut|intézet|insitute|cent(?:er|re|ro|rum|ar)s?\b|zentrum|központ|"
    r"clinic|clínica|kliniek|klinik\b|klinika|klinikum|kliniken|colleg|school|facult|facultad|fakülte|"
    r"egyetem|\binc\b|incorporated|\bltd|\bltda\b|limited\b|\bllc\b|\bllp\b|gmbh|\bag\b|\bcorp|compan|\bco\b|"
    r"\bsp\. ?z|\bs\.?a\.|\bs\.?[rp]\.?l\b|\bp\.?a\.|\bp\.?c\.|\bpc\b|\bplc\b|\bPT\b|\bbv\b|"
    r"biotec|biosci|biolog|pharm|therap|theme|council|conselho|ministry|minister|government|department|\bdept\b|division|"
    r"service|servizio|academ|societ|association|associates|assistance|publique|network|consorti|medical|medicin|medicity|"
    r"\bhealth|trust\b|agenc|\bbank\b|laborat|fund\b|casa de|the alfred|research|\bsite\b|specialists|"
    r"physicians|consultants|practices|chirurg|surgery|surgical|surgeons|spine\b|\bpain\b|dialisi|ortopedi|orthop|"
    r"endocrinology|cardiolog|gastroenterolog|urology|sanator|command|alliance|bureau|committee|"
    r"federation|organi[sz]a|technolog|scien|commission|commissariat|\bunion\b|"
    r"etablissement|blood|hospices|servi[cz]o|servicio|sanidad|\bregion\b|office of r|red de|iniciativa|"
    r"associazione|banc de|badan|oncolog|ematolog|presbyterian|adventist|mount sinai|\bst\.|systems|"
    r"administration|cell\b|cells for|\bbio\b|xcell|stem\b|\bUMC\b|\bKU\b|\bASST\b|\bAB\b|\bSAS?\b|"
    r"\bs\.r\.o|\bS\.?L\b|\bSdn\b|\bCRO\b|\bCIBER|stem cells?\b|program|group|grupo|united\b|"
    r"memorial|national|"
    r"\b(?:CHR?U|AOU?|A\.? ?O\.|AZ|UZ|UH|UZA|IRCCS|RSUP|RSUPN|RSUD|RSPAD|RS|MC|BMT|UCL|CRC|SUAM|CDC)\b",
    re.IGNORECASE,
)
_ACRONYM = re.compile(r"[A-Z]{3,}[A-Z0-9-]*")
_NAMED = re.compile(_NAMED_AFTER, re.IGNORECASE)
_TITLE = re.compile(
    r"\b(?:M\. ?D\b|M\.?D(?! Anderson| Stem)(?!\w)|Ph\.? ?D\b|M\.? ?Sc\b|MBBS\b|[Pp]rof(?:essor)?\b|"
    r"[Dd]r\b|Pr\b)"
)
_PERSON = re.compile(r"(?i:(?:principal|sub-?|co-?)\s?investigator(?! sites?))|[Oo]ffice of (?!Res|the)[A-Z]")

_MAIL = re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+")
_UNIT = (
    r"(?!\d|[.,]\d|\s*(?:[x×*^%]|mil|cells?\b|MSCs?\b|IU\b|U\b|[mµu]?[gLl]\b|mg|ml|UI\b|patients|"
    r"participants))"
)
_YEAR = r"(?:19|20)\d\d"
_START = r"(?<![\w.,/#+^-])"
_PHONE = re.compile(
    # after a word for it: "Phone/Fax Number: 0271-727007"
    rf"(?<!\w)(?:tel|fax|phone|telephone|mobile|whatsapp|hotline)(?:ephone)?\b[\w/ .]{{0,20}}[:.]?\s*"
    rf"(?P<after>[+(]?\d[\d ().-]{{4,18}}\d){_UNIT}"
    rf"|{_START}(?:"
    # with the code of a country: "+62 811-2632-086", "0086 21 64041990", "86-21-64041990"
    rf"(?:\+\d{{1,3}}|00[1-9]\d{{0,2}}(?=[ -]))(?:[ ().-]{{0,2}}\d){{7,12}}"
    r"|86-\d{2,3}-\d{7,8}"
    # of North America: "619-589-6888", "(619) 589-6888"
    r"|(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{4}"
    # with the code of a town: "0271-727007", "021-6404-1990"
    rf"|0\d{{2,4}}-\d{{6,8}}|0\d{{1,3}}-(?!{_YEAR})\d{{3,4}}-(?!{_YEAR})\d{{4}}"
    rf"){_UNIT}(?![\w/-])",
    re.IGNORECASE,
)

_CAPITAL = r"[^\W\d_a-zß-öø-ÿ]"
_NAME = rf"(?:{_CAPITAL}\w?\.(?=[\s,;)])|{_CAPITAL}[\w'’-]*)"
_NAMES = rf"{_NAME}(?:[ -]{_NAME}){{0,4}}"
_TITLED = re.compile(
    rf"(?:(?:Assoc(?:iate)?|Assistant|Asst|A)[./ ]{{1,2}})?"
    rf"\b(?P<title>(?:(?:Prof(?:essor)?s?|Drs?|Doctor|Pr)\b\.?\s*)+(?:(?:med|dr|h\.c)\.\s*)*)"
    rf"(?P<name>{_NAMES}(?:(?:,| and| &| et)\s+(?:Drs?\.?\s+)?{_NAMES}(?=[\s).,;]|$))?)"
)
_DEGREE = re.compile(
    rf"(?<!\w)(?P<name>{_NAME}(?: {_NAME}){{1,3}}),? "
    r"(?=(?:M\.D\.|MD|Ph\.?D\.?|MBBS|D\.O\.)(?:[\s,.;)]|$))(?!MD Anderson)"
)
_LABELLED = re.compile(
    rf"(?P<label>(?i:principal investigator|contact person|contact|co-?investigators?|\bPI)\s?[:=]\s*)"
    rf"(?P<name>{_NAME}(?: {_NAME}){{1,3}})"
)
# "Dr. Shariati hospital" is a place; "Dr. Roe and the University" or "Dr. Roe at the hospital" name a person.
_WORD_AFTER = re.compile(r"(?: (?!(?:and|at|from|of|in|to|with|who|has|is|was|will|for)\b)[\w-]+){1,3}")
_WORD_BEFORE = re.compile(r"[\w.]+\s*$")
# What must stand in a text before a pattern is worth trying: most texts have none of it.
_DIGITS = re.compile(r"\d(?:[ ().-]{0,2}\d){6}")
_CALLS = ("tel", "fax", "phone", "mobile", "whatsapp", "hotline")
_TITLES = ("Prof", "Dr", "Doctor", "Pr")
_DEGREES = ("MD", "M.D.", "PhD", "Ph.D", "MBBS", "D.O.")
_LABELS = ("investigator", "contact", "pi")

# Keys, digests and addresses, which are no prose: a trial's number may look like a telephone number.
_NOT_PROSE = frozenset(
    {
        DCTERMS.identifier, STROMA.secondaryId, STROMA.sha256, STROMA.recordFile, STROMA.observationKey,
        STROMA.doi, STROMA.pubmedId, STROMA.pmcId, STROMA.sourceAddress, STROMA.meshId,
    }
)  # fmt: skip


def is_institution(name: str) -> bool:
    """Whether a name says that it is an institution's, and nothing in it says that it is a person's."""
    if _ACRONYM.fullmatch(name):
        return True
    if _PERSON.search(name) or (clean(name) != name and not _NAMED.search(name)):
        return False
    return bool(_NAMED.search(name) if _TITLE.search(name) else _INSTITUTION.search(name))


def is_one_of(name: str, people: Collection[str]) -> bool:
    """Whether a name is that of one of these people, in whatever order and with whatever titles."""
    words = _words(name)
    return any(_words(person) == words for person in people)


def clean(text: str, people: Collection[str] = ()) -> str:
    """Free text with what is personal in it cut out: e-mail addresses, telephone numbers, names.

    A name is known by a title before it ("Dr. Ada Byron"), a degree or a label beside it, or because it is
    one of `people`: those the same record names elsewhere. Institutions named after a person keep their name.
    """
    for person in people:
        if " " in person and person in text:
            text = re.sub(rf"(?<!\w){re.escape(person)}(?!\w)", "[name removed]", text)
    if "@" in text:
        text = _MAIL.sub("[e-mail removed]", text)
    lower = folded(text)
    if _DIGITS.search(text) or stands(_CALLS, lower):
        text = _PHONE.sub(_without_number, text)
    if stands(_TITLES, text):
        text = _TITLED.sub(_without_name, text)
    if stands(_DEGREES, text):
        text = _DEGREE.sub(_without_name, text)
    if (":" in text or "=" in text) and stands(_LABELS, lower):
        text = _LABELLED.sub(_without_name, text)
    return text


# Short texts come again and again: statuses, units, places, names of events.
_clean = lru_cache(maxsize=20_000)(clean)


def scrub(quads: Iterable[Quad], people: Collection[str] = ()) -> Iterator[Quad]:
    """The quads with every text in them cleaned; keys, digests and addresses stay as they are."""
    for quad in quads:
        value = quad.object
        if isinstance(value, Literal) and value.datatype == XSD.string and quad.predicate not in _NOT_PROSE:
            text = clean(value.value, people) if people or len(value.value) > 200 else _clean(value.value)
            if text != value.value:
                quad = Quad(quad.subject, quad.predicate, Literal(text), quad.graph_name)
        yield quad


def _without_number(match: re.Match[str]) -> str:
    number = match.group("after")
    if number is None:
        return "[number removed]"
    return match.group(0)[: match.start("after") - match.start()] + "[number removed]"


def _without_name(match: re.Match[str]) -> str:
    text, name = match.string, match.group("name")
    after = _WORD_AFTER.match(text, match.end())
    before = _WORD_BEFORE.search(text, max(0, match.start() - 30), match.start())
    around = " ".join([name, after.group(0) if after else "", before.group(0) if before else ""])
    if _INSTITUTION.search(around):
        return match.group(0)
    begin, end = match.span("name")
    return text[match.start() : begin] + "[name removed]" + text[end : match.end()]


def _words(name: str) -> list[str]:
    """The words of a name without titles, lower case, sorted."""
    return sorted(re.findall(r"[^\W\d_]{2,}", _TITLE.sub(" ", name).casefold()))
