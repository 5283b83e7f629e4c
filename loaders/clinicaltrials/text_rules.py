"""What free text says of a cell therapy product: whether it is MSC, its tissue, its donor, its route.

Hides the patterns. Each rule has a name, and each reading keeps the words it was read from. The rules prefer
silence to error: two different answers in one text are no answer, except that routes may be several.
`dosing_rules` reads how much and how often.

Judged by hand (2026-11-22, one reader, the first 500 characters of each text): of some 205 readings in 66
records drawn at random 5 were wrong, of which 4 were then mended; a handful of the 66 had been seen while
the rules were written. The 121 readings of the 16 RA records, which the rules were tuned on, were right.
What the rules miss was not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode

from kg.terms import STROMA


def _any(*alternatives: str) -> str:
    """A pattern that matches any of the alternatives."""
    return "(?:" + "|".join(alternatives) + ")"


def _compiled(*alternatives: str) -> re.Pattern[str]:
    return re.compile(_any(*alternatives), re.IGNORECASE)


# An MSC by any of its names; "stem cells" alone is not enough.
_MSC = _any(
    r"\b(?:mesenchym\w+|mesencym\w+)(?:[\s-]*(?:stem|stromal|precursor|progenitor|like))*"
    r"(?:[\s/-]*(?:cells?|SCs?))?",
    r"\b\w{0,6}-?MSCs?\b(?!-Exo|-EV)",
    r"\bMPCs?\b",
    r"\bmultipotent (?:mesenchymal )?stromal cells?",
    r"\be?ASCs?\b",
    r"\b\w{0,3}ADSCs?\b",
    r"\badipose(?:[\s-]tissue)?[\s-]*derived (?:adult )?(?:stem|stromal|regenerative) cells?",
    r"\b\w{0,4}BM-?SCs\b",
    r"\bumbilical cord[\s-]*(?:derived )?stem cells?",
)
_CELLS_OR_MSC = _any(_MSC, r"\bstem cells?", r"\bcells\b")
MSC = _compiled(_MSC)
# Trade and code names of MSC products, for records that give no other name.
MSC_BRANDS = re.compile(
    r"\b(remestemcel|prochymal|pneumostem|cartistem|stempeucel|c[xu]-?6[01]1|darvadstrocel|alofisel|furestem|"
    r"rexlemestrocel|lomecel|nurown|cellgram|cupistem|stemirac|temcell|ryoncil|provacel|chondrogen|neuronata|"
    r"hb-admscs?|jointstem|astrostem|smup-ia-01|bx-u001|bc-u001|celltex)\w*",
    re.IGNORECASE,
)
_EV = _compiled(
    r"\bexosom\w*",
    r"\bextracellular vesicles?",
    r"\bmicrovesicles?",
    r"\bsecretome\b",
    r"-(?:Exo|EV)s?\b",
    r"\bsEVs?\b",
)
_NOT_CELLS = _compiled(
    r"conditioned medi",
    r"\bpleiotropic factor",
    r"\bCM\b",
    r"lysate",
    r"supernatant",
    r"derived factors?",
    r"stromal vascular fraction|\bSVF\b",
    r"micro-?fr(?:agmented|actured)",
    r"mononuclear",
    r"aspirate",
    r"lipogems",
    r"platelet[\s-]rich",
)
_INERT = _compiled(
    r"\bplacebo",
    r"\bsham\b",
    r"\bvehicle\b",
    r"^(?:normal |sterile |0\.9\s?%? ?)*(?:saline|sodium chloride|NaCl|ringer)",
    r"^(?:no|without)\b",
    r"^(?:standard|conventional|usual|routine)\b",
    r"\bcontrol\b",
    r"\bwithout\b",
)

# A tissue stands before the cells it gives ("adipose-derived ... cells") or after ("MSC from bone marrow"):
# exemplar, its words, the abbreviation that stands before MSC.
_TISSUES: tuple[tuple[str, str, str | None], ...] = (
    ("UmbilicalCordBlood", r"(?:umbilical[\s-]*)?cord[\s-]*blood(?! tissue)", r"h?UCB"),
    ("WhartonJelly", r"wharton'?´?’?s?[\s-]*jelly", r"h?(?:UC)?WJ"),
    (
        "UmbilicalCord",
        r"(?:human |allogeneic )?umbilical[\s-]*cord(?![\s-]*blood)(?:[\s-]*(?:tissue|lining))?|cord tissue",
        r"h?UC",
    ),
    (
        "Adipose",
        r"adipose(?:[\s-]*tissue)?|(?:abdominal |autologous )?fat(?: tissue)?|lipoaspirate",
        r"h?A[DT]|h?ad|Ad",
    ),
    ("BoneMarrow", r"bone[\s-]*marrow", r"h?BM"),
    ("MenstrualBlood", r"menstrual blood", r"Men"),
    ("AmnioticFluid", r"amniotic fluid", r"AF"),
    ("Amnion", r"amnio(?:n|tic)(?:[\s-]*(?:membrane|epithelial))?(?! fluid)", r"h?AM"),
    ("Chorion", r"chorio(?:n|nic)(?:[\s-]*(?:villi|membrane))?", None),
    ("Decidua", r"decidua\w*", None),
    ("Placenta", r"placenta\w*", r"h?P"),
    ("DentalPulp", r"dental pulp|deciduous (?:teeth|tooth)", r"h?DP"),
    ("SynovialMembrane", r"synovi(?:al|um)(?:[\s-]*membrane)?", None),
    ("PeripheralBlood", r"peripheral[\s-]*blood", r"PB"),
)
_JOIN = (
    r"[\s-]*(?:\(\w+\)[\s-]*)?(?:tissue[\s-]*)?"
    r"(?:derived|origin\w*|sourced?|expanded|isolated|cultured|purified)?[\s,-]*"
)
_WORDS = (
    r"(?:(?:human|adult|allogene?ic|autologous|cultured?|expanded|ex[\s-]vivo|culture-expanded|multipotent|"
    r"purified|clonal)[\s,-]+){0,3}"
)
_FROM = (
    r"(?:[^.;]{0,30}?)\b(?:derived|isolated|obtained|harvested|extracted|prepared|collected|cultured|expanded|"
    r"sourced)?\s*(?:from|of)\s+(?:(?:the|human|healthy|patient'?s?|own|autologous|donated|adult|"
    r"allogene?ic)\s+){0,4}"
)

# Other things of a donor that stand beside the cells in the same text.
_OTHER = (
    r"\s+(?:ha?ematopoietic|peripheral blood stem|bone marrow transplant|stem cell transplant|HSCT|BMT|HCT|"
    r"blood(?! stem)|platelet|serum|plasma|PRP|bone graft|fat graft|chondrocyte|cartilage|islet|kidney|liver)"
)
_OF_CELLS = rf"(?!{_OTHER})(?=[^.;,]{{0,70}}?{_CELLS_OR_MSC})"
_DONORS = (
    (
        "Autologous",
        _compiled(rf"\bautologo?us\b{_OF_CELLS}", r"(?:patient|participant|subject)s?['’´]?s?['’]? own\b"),
    ),
    (
        "Allogeneic",
        _compiled(
            rf"\b(?:allogen[ei]*c|allogeneous|homologous)\b{_OF_CELLS}",
            r"\b(?:third[\s-]party|unrelated|healthy|universal) donors?\b",
        ),
    ),
    ("Xenogeneic", _compiled(rf"\bxenogen[ei]*c\b{_OF_CELLS}")),
)

_ROUTES = (
    (
        "Intravenous",
        _compiled(
            r"\bintra-?venous(?:ly)?\b",
            r"\bi\.v\.?(?=\W)",
            r"\bIV\b(?=[\s-]*(?:infus|injection|administ|bag|drip|push|dose|route|[,.;)]|via|$))",
            r"\b(?:peripheral|central) ve(?:in|nous)",
        ),
    ),
    (
        "IntraArticular",
        _compiled(
            r"\bintra-?[\s-]?articular(?:ly)?\b",
            r"\bIA (?:injection|administ)",
            r"\b(?:inject|implant)\w* (?:directly )?in(?:to|side)? (?:(?:the|affected|target) )*"
            r"(?:knee|hip|joint)",
            r"\b(?:inject|transplant|implant|administ)\w*[^.;]{0,70} in(?:to)? (?:the )?joints?\b",
        ),
    ),
    ("Intramuscular", _compiled(r"\bintra-?muscular(?:ly)?\b", r"\bIM (?:injection|administ)")),
    (
        "Intrathecal",
        _compiled(
            r"\bintra-?thecal(?:ly)?\b",
            r"\blumbar puncture\b(?=[^.;]{0,40}(?:cells|MSC|inject|administ))",
        ),
    ),
    ("Subcutaneous", _compiled(r"\bsub-?cutaneous(?:ly)?\b(?! (?:fat|adipose|tissue|abdominal))")),
    (
        "Intralesional",
        _compiled(r"\bintra-?lesional(?:ly)?\b", r"\bintra-?fistular\b", r"\bperi-?lesional(?:ly)?\b"),
    ),
    ("Intracoronary", _compiled(r"\bintra-?coronary\b")),
    ("Intramyocardial", _compiled(r"\b(?:intra|trans)-?(?:myocardial|endocardial)(?:ly)?\b")),
    (
        "IntraArterial",
        _compiled(
            r"\bintra-?arterial(?:ly)?\b",
            r"\b(?:hepatic|renal|femoral|carotid) artery (?:infusion|injection)",
        ),
    ),
    ("Intraosseous", _compiled(r"\bintra-?oss[eo]ous(?:ly)?\b", r"\bintra-?bone marrow\b")),
    ("Topical", _compiled(r"\btopical(?:ly)?\b")),
    ("Inhalation", _compiled(r"\binhal(?:ation|ed)\b", r"\bnebuli[sz]")),
    ("Intraperitoneal", _compiled(r"\bintra-?peritoneal(?:ly)?\b")),
    ("Intravitreal", _compiled(r"\bintra-?vitreal(?:ly)?\b")),
    ("Intradermal", _compiled(r"\bintra-?dermal(?:ly)?\b")),
    ("Epidural", _compiled(r"\bepidural(?:ly)?\b")),
    (
        "Intracerebral",
        _compiled(r"\bintra-?cerebral(?:ly)?\b", r"\bintra-?cerebro-?ventricular\b"),
    ),
)


@dataclass(frozen=True)
class Reading:
    """One fact read from a text: the rule, its value, and the words it stands on."""

    rule: str
    value: NamedNode | Literal
    words: str


def is_inert(name: str) -> bool:
    """Whether an intervention's name is that of a placebo, a control or standard care."""
    return bool(_INERT.search(name)) and not re.search(r"\+|\bplus\b|\band\b|combin", name, re.IGNORECASE)


def is_vesicle(text: str) -> bool:
    """Whether the text names vesicles or secretome of cells rather than cells."""
    return bool(_EV.search(text))


def is_other_product(text: str) -> bool:
    """Whether the text names something made of tissue or cells that is no MSC product."""
    return bool(_NOT_CELLS.search(text) or _EV.search(text))


def vesicle_words(text: str) -> str:
    """The words that name the vesicles."""
    match = _EV.search(text)
    return match.group(0) if match else ""


def msc_words(text: str) -> str:
    """The words that name the cells."""
    match = MSC.search(text) or MSC_BRANDS.search(text)
    return match.group(0) if match else ""


def is_msc(text: str) -> bool:
    """Whether the text names mesenchymal stromal cells, and not a product made without them."""
    return bool(MSC.search(text) or MSC_BRANDS.search(text)) and not (
        _NOT_CELLS.search(text) or _EV.search(text)
    )


def _tissue_patterns() -> Iterator[tuple[str, str, re.Pattern[str]]]:
    for name, words, short in _TISSUES:
        before = rf"\b(?:{words}){_JOIN}{_WORDS}(?:{_MSC}|stem cells?|stromal cells?)"
        yield name, "tissue-before-cells", _compiled(before)
        after = rf"(?:{_MSC}|\bstem cells?|\bcells){_FROM}(?:{words})\b"
        yield name, "cells-from-tissue", _compiled(after)
        if short:
            yield (
                name,
                "tissue-in-abbreviation",
                re.compile(rf"\b(?:{short})[\s-]?(?:MSC|mesenchymal|SC)s?\b"),
            )


_TISSUE_PATTERNS = tuple(_tissue_patterns())
_TISSUE_WORDS = _compiled(*(words for _, words, _ in _TISSUES), r"\w[\s-]?(?:MSC|mesench|SC)")


def tissue(text: str) -> Reading | None:
    """The tissue the cells come from; None where the text names none, or several."""
    found = tissues(text)
    return found[0] if len(found) == 1 else None


def tissues(text: str) -> list[Reading]:
    """Every tissue the text says cells come from."""
    if not _TISSUE_WORDS.search(text):
        return []
    found: dict[str, Reading] = {}
    rest = text
    for name, rule, pattern in _TISSUE_PATTERNS:
        if match := pattern.search(rest):
            found.setdefault(name, Reading(rule, STROMA("Tissue" + name), match.group(0)))
            rest = rest.replace(match.group(0), " | ")
    # Wharton's jelly lies in the umbilical cord: naming both is naming the jelly.
    if "WhartonJelly" in found:
        found.pop("UmbilicalCord", None)
    return list(found.values())


def donor(text: str) -> Reading | None:
    """Whose cells they are; None where the text does not say, or says both."""
    found = donors(text)
    return found[0] if len(found) == 1 else None


def donors(text: str) -> list[Reading]:
    """Every donor relation the text names with cells."""
    return [
        Reading("donor-word", STROMA("Donor" + name), match.group(0))
        for name, pattern in _DONORS
        if (match := pattern.search(text))
    ]


def routes(text: str) -> list[Reading]:
    """Every route the text names, in the order of the table."""
    return [
        Reading("route-word", STROMA("Route" + name), match.group(0))
        for name, pattern in _ROUTES
        if (match := pattern.search(text))
    ]
