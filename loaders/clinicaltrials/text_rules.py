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
from loaders.patterns import Hinted, folded


def _any(*alternatives: str) -> str:
    """A pattern that matches any of the alternatives."""
    return "(?:" + "|".join(alternatives) + ")"


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
_MSC_WORDS = "msc|mesenc|mpc|stromal|asc|adsc|adipose|bmsc|bm-sc|umbilical"
MSC = Hinted(_MSC_WORDS, _MSC)
# Trade and code names of MSC products, for records that give no other name.
_BRANDS = (
    "remestemcel|prochymal|pneumostem|cartistem|stempeucel|darvadstrocel|alofisel|furestem|rexlemestrocel|"
    "lomecel|nurown|cellgram|cupistem|stemirac|temcell|ryoncil|provacel|chondrogen|neuronata|hb-admsc|"
    "jointstem|astrostem|smup-ia-01|bx-u001|bc-u001|celltex"
)
MSC_BRANDS = Hinted(f"{_BRANDS}|601|611", rf"\b(?:{_BRANDS}|c[xu]-?6[01]1)\w*")
_EV = Hinted(
    "exosom|vesicle|secretome|-exo|-ev|sev",
    r"\bexosom\w*",
    r"\bextracellular vesicles?",
    r"\bmicrovesicles?",
    r"\bsecretome\b",
    r"-(?:Exo|EV)s?\b",
    r"\bsEVs?\b",
)
_NOT_CELLS = Hinted(
    "conditioned|pleiotropic|cm|lysate|supernatant|derived factor|vascular fraction|svf|micro|mononuclear|"
    "aspirate|lipogems|platelet",
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
_INERT = Hinted(
    "placebo|sham|vehicle|saline|sodium chloride|nacl|ringer|no|without|standard|conventional|usual|routine|"
    "control",
    r"\bplacebo",
    r"\bsham\b",
    r"\bvehicle\b",
    r"^(?:normal |sterile |0\.9\s?%? ?)*(?:saline|sodium chloride|NaCl|ringer)",
    r"^(?:no|without)\b",
    r"^(?:standard|conventional|usual|routine)\b",
    r"\bcontrol\b",
    r"\bwithout\b",
)

_COMBINED = re.compile(r"\+|\bplus\b|\band\b|combin", re.IGNORECASE)

# A tissue stands before the cells it gives ("adipose-derived ... cells") or after ("MSC from bone marrow"):
# exemplar, the words its words have, these words, the abbreviation that stands before MSC.
_TISSUES: tuple[tuple[str, str, str, str | None], ...] = (
    ("UmbilicalCordBlood", "cord", r"(?:umbilical[\s-]*)?cord[\s-]*blood(?! tissue)", r"h?UCB"),
    ("WhartonJelly", "wharton", r"wharton'?´?’?s?[\s-]*jelly", r"h?(?:UC)?WJ"),
    (
        "UmbilicalCord",
        "cord",
        r"(?:human |allogeneic )?umbilical[\s-]*cord(?![\s-]*blood)(?:[\s-]*(?:tissue|lining))?|cord tissue",
        r"h?UC",
    ),
    (
        "Adipose",
        "adipose|fat|lipoaspirate",
        r"adipose(?:[\s-]*tissue)?|(?:abdominal |autologous )?fat(?: tissue)?|lipoaspirate",
        r"h?A[DT]|h?ad|Ad",
    ),
    ("BoneMarrow", "marrow", r"bone[\s-]*marrow", r"h?BM"),
    ("MenstrualBlood", "menstrual", r"menstrual blood", r"Men"),
    ("AmnioticFluid", "amniotic", r"amniotic fluid", r"AF"),
    ("Amnion", "amnio", r"amnio(?:n|tic)(?:[\s-]*(?:membrane|epithelial))?(?! fluid)", r"h?AM"),
    ("Chorion", "chorio", r"chorio(?:n|nic)(?:[\s-]*(?:villi|membrane))?", None),
    ("Decidua", "decidua", r"decidua\w*", None),
    ("Placenta", "placenta", r"placenta\w*", r"h?P"),
    ("DentalPulp", "dental|deciduous", r"dental pulp|deciduous (?:teeth|tooth)", r"h?DP"),
    ("SynovialMembrane", "synovi", r"synovi(?:al|um)(?:[\s-]*membrane)?", None),
    ("PeripheralBlood", "peripheral", r"peripheral[\s-]*blood", r"PB"),
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
        Hinted(
            "autolog|own",
            rf"\bautologo?us\b{_OF_CELLS}",
            r"(?:patient|participant|subject)s?['’´]?s?['’]? own\b",
        ),
    ),
    (
        "Allogeneic",
        Hinted(
            "allogen|homologous|donor",
            rf"\b(?:allogen[ei]*c|allogeneous|homologous)\b{_OF_CELLS}",
            r"\b(?:third[\s-]party|unrelated|healthy|universal) donors?\b",
        ),
    ),
    ("Xenogeneic", Hinted("xenogen", rf"\bxenogen[ei]*c\b{_OF_CELLS}")),
)

_ROUTES = (
    (
        "Intravenous",
        Hinted(
            "venous|i.v|iv|vein",
            r"\bintra-?venous(?:ly)?\b",
            r"\bi\.v\.?(?=\W)",
            r"\bIV\b(?=[\s-]*(?:infus|injection|administ|bag|drip|push|dose|route|[,.;)]|via|$))",
            r"\b(?:peripheral|central) ve(?:in|nous)",
        ),
    ),
    (
        "IntraArticular",
        Hinted(
            "articular|ia |knee|hip|joint",
            r"\bintra-?[\s-]?articular(?:ly)?\b",
            r"\bIA (?:injection|administ)",
            r"\b(?:inject|implant)\w* (?:directly )?in(?:to|side)? (?:(?:the|affected|target) )*"
            r"(?:knee|hip|joint)",
            r"\b(?:inject|transplant|implant|administ)\w*[^.;]{0,70} in(?:to)? (?:the )?joints?\b",
        ),
    ),
    ("Intramuscular", Hinted("muscular|im ", r"\bintra-?muscular(?:ly)?\b", r"\bIM (?:injection|administ)")),
    (
        "Intrathecal",
        Hinted(
            "thecal|lumbar",
            r"\bintra-?thecal(?:ly)?\b",
            r"\blumbar puncture\b(?=[^.;]{0,40}(?:cells|MSC|inject|administ))",
        ),
    ),
    ("Subcutaneous", Hinted("cutaneous", r"\bsub-?cutaneous(?:ly)?\b(?! (?:fat|adipose|tissue|abdominal))")),
    (
        "Intralesional",
        Hinted(
            "lesional|fistular",
            r"\bintra-?lesional(?:ly)?\b",
            r"\bintra-?fistular\b",
            r"\bperi-?lesional(?:ly)?\b",
        ),
    ),
    ("Intracoronary", Hinted("coronary", r"\bintra-?coronary\b")),
    ("Intramyocardial", Hinted("cardial", r"\b(?:intra|trans)-?(?:myocardial|endocardial)(?:ly)?\b")),
    (
        "IntraArterial",
        Hinted(
            "arterial|artery",
            r"\bintra-?arterial(?:ly)?\b",
            r"\b(?:hepatic|renal|femoral|carotid) artery (?:infusion|injection)",
        ),
    ),
    ("Intraosseous", Hinted("intra", r"\bintra-?oss[eo]ous(?:ly)?\b", r"\bintra-?bone marrow\b")),
    ("Topical", Hinted("topical", r"\btopical(?:ly)?\b")),
    ("Inhalation", Hinted("inhal|nebuli", r"\binhal(?:ation|ed)\b", r"\bnebuli[sz]")),
    ("Intraperitoneal", Hinted("peritoneal", r"\bintra-?peritoneal(?:ly)?\b")),
    ("Intravitreal", Hinted("vitreal", r"\bintra-?vitreal(?:ly)?\b")),
    ("Intradermal", Hinted("dermal", r"\bintra-?dermal(?:ly)?\b")),
    ("Epidural", Hinted("epidural", r"\bepidural(?:ly)?\b")),
    (
        "Intracerebral",
        Hinted("cerebr", r"\bintra-?cerebral(?:ly)?\b", r"\bintra-?cerebro-?ventricular\b"),
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
    return bool(_INERT.search(name, folded(name))) and not _COMBINED.search(name)


def is_other_product(text: str) -> bool:
    """Whether the text names something made of tissue or cells that is no MSC product."""
    lower = folded(text)
    return bool(_NOT_CELLS.search(text, lower) or _EV.search(text, lower))


def vesicle_words(text: str) -> str:
    """The words that name vesicles or secretome of cells rather than cells; "" where none do."""
    match = _EV.search(text, folded(text))
    return match.group(0) if match else ""


def msc_words(text: str) -> str:
    """The words that name mesenchymal stromal cells; "" where none do, or a product made without them."""
    lower = folded(text)
    match = MSC.search(text, lower) or MSC_BRANDS.search(text, lower)
    return match.group(0) if match and not is_other_product(text) else ""


_ABBREVIATED = r"[\s-]?(?:MSC|mesenchymal|SC)"
_ANY_ABBREVIATED = re.compile(_any(*(short for *_, short in _TISSUES if short)) + _ABBREVIATED)


def _tissue_patterns() -> Iterator[tuple[str, Hinted, Hinted, re.Pattern[str] | None]]:
    for name, hint, words, short in _TISSUES:
        before = rf"\b(?:{words}){_JOIN}{_WORDS}(?:{_MSC}|stem cells?|stromal cells?)"
        after = rf"(?:{_MSC}|\bstem cells?|\bcells){_FROM}(?:{words})\b"
        in_short = re.compile(rf"\b(?:{short}){_ABBREVIATED}s?\b") if short else None
        yield name, Hinted(hint, before), Hinted(hint, after), in_short


_TISSUE_PATTERNS = tuple(_tissue_patterns())


def tissues(text: str) -> list[Reading]:
    """Every tissue the text says cells come from; several are no answer."""
    found: dict[str, Reading] = {}
    rest, lower = text, folded(text)
    abbreviated = _ANY_ABBREVIATED.search(text) is not None

    def read(name: str, rule: str, match: re.Match[str] | None) -> None:
        nonlocal rest
        if match:
            found.setdefault(name, Reading(rule, STROMA("Tissue" + name), match.group(0)))
            rest = rest.replace(match.group(0), " | ")

    for name, before, after, short in _TISSUE_PATTERNS:
        read(name, "tissue-before-cells", before.search(rest, lower))
        read(name, "cells-from-tissue", after.search(rest, lower))
        if abbreviated and short:
            read(name, "tissue-in-abbreviation", short.search(rest))
    # Wharton's jelly lies in the umbilical cord: naming both is naming the jelly.
    if "WhartonJelly" in found:
        found.pop("UmbilicalCord", None)
    return list(found.values())


def donor(text: str) -> Reading | None:
    """Whose cells they are; None where the text does not say, or says both."""
    lower = folded(text)
    found = [
        Reading("donor-word", STROMA("Donor" + name), match.group(0))
        for name, pattern in _DONORS
        if (match := pattern.search(text, lower))
    ]
    return found[0] if len(found) == 1 else None


def routes(text: str) -> list[Reading]:
    """Every route the text names, in the order of the table."""
    lower = folded(text)
    return [
        Reading("route-word", STROMA("Route" + name), match.group(0))
        for name, pattern in _ROUTES
        if (match := pattern.search(text, lower))
    ]
