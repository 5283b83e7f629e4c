"""What each SHACL shape lets pass and what it stops, on one small graph of each kind."""

from __future__ import annotations

import re

import pytest
from pyoxigraph import RdfFormat, parse
from rdflib import RDF, SH, Graph, URIRef
from rdflib.collection import Collection

from kg.snapshot import line_of
from kg.terms import ROOT, STROMA, prefixes
from kg.validation import validate

SHAPES = ROOT / "ontology" / "shapes"
HEADER = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in prefixes().items())
DIGEST = "0123456789abcdef" * 4

GOOD = {
    "trial": """
    trial:NCT01547091 a OBI:0003699 ; dcterms:identifier "NCT01547091" ; dcterms:title "UC-MSC in RA" ;
        prov:wasDerivedFrom record:NCT01547091 ;
        stroma:hasPhase stroma:Phase1Phase2 ; stroma:hasStatus stroma:StatusUnknown ;
        stroma:statusAsOf "2022-10-10"^^xsd:date ; stroma:startDate "2013-04"^^xsd:gYearMonth ;
        stroma:enrollmentCount 200 ; stroma:minimumAgeYears 18.0 ; stroma:maximumAgeYears 80.0 ;
        stroma:hasArm arm:a .
    trial:b a stroma:ObservationalStudy ; rdfs:label "registry of infusions" .
    event:a a stroma:StatusRecord ;
        stroma:hasStatus stroma:StatusCompleted ; stroma:statusAsOf "2014"^^xsd:gYear .""",
    "arm": """
    trial:a stroma:hasArm arm:a .
    arm:a a stroma:TrialArm ; rdfs:label "placebo" .
    group:a a stroma:PooledAnalysisGroup ; rdfs:label "MSC" ; stroma:hasArmType stroma:ArmTypeExperimental ;
        stroma:hasIntervention regimen:a ; stroma:pools trial:b , trial:c .""",
    "regimen": """
    regimen:a a stroma:InterventionRegimen ; rdfs:label "MSC" ; stroma:administers product:a ;
        stroma:doseUnit "{cells}/kg" ; stroma:doseAmount 1000000.0 ;
        stroma:doseLow 1.0 ; stroma:doseHigh 4.0 ;
        stroma:numberOfDosesLow 2 ; stroma:numberOfDosesHigh 4 ; stroma:doseInterval 7.0 ;
        stroma:hasRoute stroma:RouteIntravenous ; stroma:hasDonorRelation stroma:DonorAllogeneic .""",
    "product": """
    product:a a stroma:CellTherapyProduct ; rdfs:label "UC-MSC" ;
        RO:0002248 stroma:CellMesenchymalStem ; stroma:hasTissueSource stroma:TissueUmbilicalCord .""",
    "observation": """
    observation:a a stroma:Observation , stroma:OutcomeObservation ; stroma:aboutArm group:a ;
        stroma:forMeasure stroma:MeasureACR20 ; stroma:timepointMonths 60.0 ; stroma:numberAffected 31 ;
        stroma:sampleSize 69 ; stroma:percentage 44.9 ; stroma:analysisSet stroma:SetEfficacy .""",
    "comparison": """
    comparison:a a stroma:GroupComparison ; stroma:comparesGroup group:a , group:b ;
        stroma:forMeasure stroma:MeasurePrednisoneUse ; stroma:pValue 0.001 ; stroma:pOperator "<" .""",
    "claim": f"""
    claim:B258 a stroma:Claim ; stroma:claimText "44.9 % reached ACR20 at five years."@en ;
        stroma:hasTopic stroma:TopicEfficacy ; stroma:modality stroma:ModalityAsserted ;
        stroma:statementLevel stroma:LevelStated ;
        stroma:evidenceType ECO:0006017 ; stroma:sourceSpecies NCBITaxon:9606 ;
        stroma:confidence stroma:ConfidenceHigh ; stroma:confidenceBasis "said in so many words" ;
        stroma:asserts proposition:a ; stroma:statedAt span:a .
    span:a a stroma:TextSpan ; stroma:inDocument document:001 ; stroma:lineNumber 1 ;
        stroma:startOffset 0 ; stroma:endOffset 9 ; stroma:sha256 "{DIGEST}" .
    document:001 a stroma:NewsDigest ; dcterms:identifier "001" ; stroma:sha256 "{DIGEST}" .
    claim:text a stroma:Claim ; stroma:claimText "It gives hope." ; stroma:hasTopic stroma:TopicOther ;
        stroma:statedAt span:a ; stroma:claimSubject "MSC" ; stroma:statementLevel stroma:LevelStated ;
        stroma:evidenceType ECO:0000303 ;
        stroma:notFormalisedBecause "opinion" .
    claim:rule a stroma:Extraction ; stroma:inField "title" ; stroma:matchedText "umbilical cord" ;
        stroma:extractionRule "tissue-named" ; stroma:confidence stroma:ConfidenceHigh ;
        stroma:statementLevel stroma:LevelExtracted ; stroma:evidenceType ECO:0008023 ;
        prov:wasDerivedFrom record:a ; stroma:asserts proposition:b .
    claim:link a stroma:CuratedStatement ; stroma:confidence stroma:ConfidenceMedium ;
        stroma:statementLevel stroma:LevelCurated ; stroma:evidenceType ECO:0000305 ;
        stroma:basis "same sponsor and year" ; stroma:asserts proposition:c .""",
    "proposition": """
    claim:a stroma:asserts proposition:a ; stroma:confidence stroma:ConfidenceHigh ; stroma:basis "said" .
    proposition:a a stroma:Proposition ; stroma:propositionSubject PR:000000017 ;
        stroma:propositionPredicate stroma:enhances ; stroma:propositionObject stroma:MSCImmunomodulation ;
        stroma:polarity stroma:PolarityPositive .
    event:b a stroma:Discrepancy ; stroma:involves observation:a , observation:b ;
        stroma:discrepancyKind stroma:DiscrepancyDifferentValues ; stroma:severity stroma:SeverityMinor ;
        stroma:computation "|59 - 57| = 2" ; stroma:foundByRule <https://w3id.org/stroma/rule/a> ;
        stroma:findingStatus stroma:FindingOpen .""",
    "publication": """
    publication:a a stroma:Publication ; stroma:citation "Stem Cell Res Ther 2025;16:642" ;
        stroma:doi "10.1186/s13287-025-04772-x" ; stroma:pubmedId "12480809" ;
        stroma:publicationYear "2025"^^xsd:gYear .
    publication:b a stroma:Publication ; rdfs:label "Ra 2011" ; stroma:pmcId "PMC3222617" .""",
    "derived": """
    derived:a a stroma:EffectEstimate ; rdfs:label "risk difference" ; stroma:unit "1" ;
        stroma:derivationMethod stroma:MethodRiskDifference ; stroma:computation "25 of 28 against 31 of 69" ;
        stroma:derivedValue 0.4436 ; stroma:ciLow 0.2415 ; stroma:ciHigh 0.5753 ; stroma:ciLevel 95.0 ;
        stroma:comparedGroup group:b ; stroma:referenceGroup group:a ; stroma:forMeasure stroma:MeasureACR20 ;
        prov:wasDerivedFrom observation:a , observation:b ; prov:wasGeneratedBy activity:derivation ;
        stroma:statementLevel stroma:LevelRecomputed ; stroma:evidenceType ECO:0007669 .
    derived:b a stroma:DerivedCount ; stroma:unit "{patients}" ; stroma:computation "9 % of 200" ;
        stroma:derivationMethod stroma:MethodCountFromPercentage ;
        stroma:derivedLow 17.0 ; stroma:derivedHigh 19.0 ;
        prov:wasDerivedFrom observation:a ; prov:wasGeneratedBy activity:derivation ;
        stroma:statementLevel stroma:LevelRecomputed ; stroma:evidenceType ECO:0007669 .
    derived:c a stroma:PooledEffect ; stroma:unit "1" ; stroma:computation "2 studies, I² 40 %" ;
        stroma:derivationMethod stroma:MethodRandomEffects ; stroma:derivedValue 0.7 ;
        stroma:studyCount 2.0 ; stroma:iSquared 0.4 ; stroma:tauSquared 0.1 ;
        prov:wasDerivedFrom derived:a , derived:d ; prov:wasGeneratedBy activity:derivation ;
        stroma:statementLevel stroma:LevelRecomputed ; stroma:evidenceType ECO:0007669 .
    derived:e a stroma:PoolingAssessment ; stroma:derivationMethod stroma:MethodDesignRules ;
        stroma:mayBePooled false ; stroma:explanation "not pooled"@en ;
        stroma:poolingReason stroma:PoolingReasonSharedPatients ; prov:wasDerivedFrom derived:a .""",
    "label": """
    collection:a a stroma:StudyCollection ; rdfs:label "registered trials" .""",
    "organization": """
    organization:a a foaf:Organization ; rdfs:label "Alliancells" ;
        stroma:organizationClass "INDUSTRY" .
    trial:a stroma:briefSummary "Dose is 1@10^6 cells." .""",
    "registered": """
    link:a a stroma:PublicationLink ; stroma:asserts proposition:a ;
        stroma:linkMethod stroma:LinkMethodRegistryNumber ; prov:wasDerivedFrom reference:a ;
        stroma:confidence stroma:ConfidenceHigh ; stroma:basis "reference derived" ;
        stroma:modality stroma:ModalityAsserted ; stroma:hasTopic stroma:TopicBibliographic ;
        stroma:statementLevel stroma:LevelRecorded ; stroma:evidenceType ECO:0000313 .
    reference:a a stroma:RegistryReference ; dcterms:references publication:a ;
        stroma:referenceType "derived" .
    comparison:a a stroma:EnrollmentComparison ; dcterms:subject trial:a ;
        stroma:comparisonResult stroma:ResultFewerThanPlanned ; stroma:computation "20 planned, 10 actual." ;
        stroma:plannedEnrollment 20 ; stroma:actualEnrollment 10 .""",
    "planned-outcome": """
    trial:a stroma:hasPlannedOutcome outcome:a .
    outcome:a a stroma:PlannedOutcome ; rdfs:label "ACR20" ;
        stroma:outcomeRole "primary" ; stroma:timeFrameMonths 3.0 ;
        stroma:forMeasure stroma:MeasureACR20 .""",
}

# shape file, what is changed (text, and what takes its place), severity, words of the message
BAD = [
    ("derived", "stroma:derivationMethod stroma:MethodRiskDifference ;", "", "Violation", "the one method"),
    ("derived", "stroma:MethodRiskDifference", "stroma:MeasureACR20", "Violation", "the one method"),
    (
        "derived",
        "prov:wasDerivedFrom observation:a , observation:b ;",
        "",
        "Violation",
        "Point at the observations",
    ),
    ("derived", " ; prov:wasGeneratedBy activity:derivation ;", " ;", "Violation", "which activity"),
    ("derived", "stroma:LevelRecomputed", "stroma:LevelStated", "Violation", "not stated"),
    ("derived", " ; stroma:evidenceType ECO:0007669 .", " .", "Violation", "type of evidence"),
    ("derived", ' ; stroma:computation "25 of 28 against 31 of 69"', "", "Violation", "into words"),
    ("derived", 'stroma:unit "1" ;', "", "Violation", "UCUM"),
    ("derived", "derivedValue 0.4436", 'derivedValue "0.4436"', "Violation", "a decimal number"),
    ("derived", "stroma:derivedLow 17.0 ;", "", "Violation", "says nothing"),
    ("derived", "derivedLow 17.0", "derivedLow 20.0", "Violation", "lies above the upper one"),
    ("derived", "ciLow 0.2415", "ciLow 0.6", "Violation", "confidence limit lies above"),
    ("derived", "stroma:ciLevel 95.0", "stroma:percentage 44.9", "Violation", "out of a derived number"),
    (
        "derived",
        "stroma:referenceGroup group:a",
        "stroma:referenceGroup group:b",
        "Violation",
        "another than its",
    ),
    ("derived", "stroma:referenceGroup group:a ;", "", "Violation", "set against"),
    ("derived", "stroma:forMeasure stroma:MeasureACR20 ;", "", "Violation", "what was compared"),
    ("derived", "studyCount 2.0", "studyCount 1.0", "Violation", "two studies"),
    ("derived", "iSquared 0.4", "iSquared 40.0", "Violation", "as a share"),
    ("derived", "tauSquared 0.1", "tauSquared -0.1", "Violation", "variance between studies"),
    (
        "derived",
        "stroma:mayBePooled false",
        'stroma:mayBePooled "no"',
        "Violation",
        "whether results were pooled",
    ),
    (
        "derived",
        "stroma:derivationMethod stroma:MethodDesignRules ;",
        "",
        "Violation",
        "designs were compared",
    ),
    ("derived", 'stroma:explanation "not pooled"@en ;', "", "Violation", "Explain the verdict"),
    ("derived", " ; prov:wasDerivedFrom derived:a .", " .", "Violation", "that were looked at"),
    (
        "derived",
        "stroma:poolingReason stroma:PoolingReasonSharedPatients ;",
        "",
        "Violation",
        "why the results",
    ),
    ("trial", 'dcterms:identifier "NCT01547091" ;', "", "Violation", "its identifier"),
    ("trial", 'dcterms:title "UC-MSC in RA" ;', "", "Violation", "a title"),
    ("trial", "stroma:Phase1Phase2", "stroma:Phase7", "Violation", "stroma:TrialPhase"),
    ("trial", "stroma:StatusUnknown", '"Unknown status"', "Violation", "stroma:RecruitmentStatus"),
    ("trial", 'stroma:statusAsOf "2022-10-10"^^xsd:date ; stroma:start', "stroma:start", "Warning", "drift"),
    ("trial", '"2013-04"^^xsd:gYearMonth', '"April 2013"', "Violation", "xsd:gYearMonth"),
    ("trial", "enrollmentCount 200", "enrollmentCount -1", "Violation", "whole number"),
    ("trial", "minimumAgeYears 18.0", "minimumAgeYears 81.0", "Warning", "minimum is above"),
    ("trial", "stroma:hasArm arm:a", 'stroma:hasArm "MSC"', "Violation", "by its IRI"),
    (
        "trial",
        "stroma:ObservationalStudy",
        "stroma:ObservationalStudy , OBI:0003699",
        "Warning",
        "observational",
    ),
    ("trial", '; stroma:statusAsOf "2014"^^xsd:gYear', "", "Violation", "as of which"),
    ("arm", "stroma:ArmTypeExperimental", "stroma:ArmTypeNew", "Violation", "stroma:ArmType"),
    ("arm", "trial:a stroma:hasArm arm:a .", "", "Warning", "which study"),
    ("arm", "; stroma:pools trial:b , trial:c", "", "Violation", "stroma:pools"),
    ("regimen", 'stroma:doseUnit "{cells}/kg" ;', "", "Violation", "stroma:doseUnit"),
    ("regimen", "doseAmount 1000000.0", "doseAmount 0.0", "Violation", "above 0"),
    ("regimen", "doseLow 1.0", "doseLow 5.0", "Violation", "dose range"),
    ("regimen", "DosesLow 2", "DosesLow 0", "Violation", "1 or more"),
    ("regimen", "doseInterval 7.0", "doseInterval -7.0", "Violation", "days above 0"),
    ("regimen", "stroma:RouteIntravenous", "stroma:RouteMagic", "Violation", "route exemplars"),
    (
        "regimen",
        "DonorAllogeneic",
        "DonorAllogeneic , stroma:DonorAutologous",
        "Violation",
        "one donor relation",
    ),
    ("product", "stroma:CellMesenchymalStem", "CL:0000134", "Violation", "exemplar as active ingredient"),
    ("product", "stroma:TissueUmbilicalCord", "UBERON:0002331", "Violation", "tissue exemplar"),
    ("product", "RO:0002248 stroma:CellMesenchymalStem ;", "", "Warning", "which cells"),
    ("observation", "stroma:aboutArm group:a ;", "", "Violation", "stroma:aboutArm"),
    ("observation", "stroma:forMeasure stroma:MeasureACR20 ;", "", "Violation", "what was measured"),
    ("observation", "stroma:MeasureACR20", "stroma:ACRResponseMeasure", "Violation", "measure individual"),
    ("observation", "numberAffected 31", "numberAffected 70", "Violation", "more participants"),
    ("observation", "numberAffected 31", "numberAffected 31.5", "Violation", "whole number"),
    ("observation", "percentage 44.9", "percentage 144.9", "Violation", "from 0 to 100"),
    ("observation", "percentage 44.9", "percentage 45.9", "Warning", "within rounding"),
    ("observation", "percentage 44.9", "percentage 45", "Violation", "xsd:decimal"),
    ("observation", "stroma:SetEfficacy", "stroma:SetSome", "Violation", "stroma:AnalysisSet"),
    ("observation", "stroma:percentage 44.9", "stroma:sdValue -1.0", "Violation", "cannot be negative"),
    (
        "observation",
        "stroma:numberAffected 31 ;\n        stroma:sampleSize 69 ; stroma:percentage 44.9 ;",
        "",
        "Violation",
        "a value",
    ),
    ("comparison", "group:a , group:b", "group:a", "Violation", "two at least"),
    ("comparison", "pValue 0.001", "pValue 1.001", "Violation", "from 0 to 1"),
    ("comparison", '"<"', '"<="', "Violation", "=, < or >"),
    ("comparison", '; stroma:pOperator "<"', "", "Violation", "how p stands"),
    ("comparison", 'stroma:pValue 0.001 ; stroma:pOperator "<"', 'rdfs:label "p"', "Violation", "a result"),
    (
        "claim",
        "stroma:statedAt span:a .",
        'rdfs:label "x" .',
        "Violation",
        "claim stands",
    ),
    ("claim", "stroma:hasTopic stroma:TopicEfficacy ;", "", "Violation", "what the claim is about"),
    ("claim", 'stroma:claimText "It gives hope." ;', "", "Violation", "English sentence"),
    ("claim", "stroma:asserts proposition:a ;", "", "Violation", "the reason it has none"),
    ("claim", 'stroma:claimSubject "MSC" ;', "", "Violation", "stroma:claimSubject"),
    ("claim", 'stroma:matchedText "umbilical cord" ;', "", "Violation", "stroma:matchedText"),
    ("claim", 'stroma:basis "same sponsor and year" ;', "", "Violation", "rests"),
    ("claim", "stroma:statementLevel stroma:LevelStated ;\n", "", "Violation", "at which level"),
    ("claim", "stroma:evidenceType ECO:0006017 ;", "", "Violation", "kind of evidence"),
    ("claim", "ECO:0006017", "stroma:LevelStated", "Violation", "kind of evidence"),
    ("claim", "NCBITaxon:9606", "stroma:Human", "Violation", "NCBI taxonomy"),
    ("claim", "stroma:confidence stroma:ConfidenceHigh ;", "", "Violation", "how sure"),
    ("claim", 'stroma:confidenceBasis "said in so many words" ;', "", "Violation", "confidence rests"),
    ("claim", "stroma:LevelExtracted", "stroma:LevelGuessed", "Violation", "stroma:StatementLevel"),
    ("claim", "stroma:inDocument document:001 ;", "", "Violation", "which document"),
    ("claim", "lineNumber 1", "lineNumber 0", "Violation", "line of the span"),
    ("claim", "startOffset 0", "startOffset 9", "Violation", "ends where"),
    ("claim", DIGEST, "0123", "Violation", "SHA-256"),
    ("proposition", "stroma:polarity stroma:PolarityPositive", 'rdfs:label "p"', "Violation", "one polarity"),
    ("proposition", "stroma:enhances", "stroma:enhances , stroma:impairs", "Violation", "one predicate"),
    ("proposition", "claim:a stroma:asserts proposition:a ;", "claim:a", "Warning", "which claim"),
    ("proposition", "observation:a , observation:b", "observation:a", "Violation", "two at least"),
    (
        "publication",
        'rdfs:label "Ra 2011" ; stroma:pmcId "PMC3222617"',
        "rdfs:comment 1",
        "Violation",
        "a title",
    ),
    ("publication", '; stroma:pmcId "PMC3222617"', "", "Warning", "Look up"),
    ("publication", '"10.1186', '"doi:10.1186', "Violation", "bare name"),
    ("publication", '"12480809"', '"PMID 12480809"', "Violation", "digits alone"),
    ("publication", '"2025"^^xsd:gYear', '"2025"', "Violation", "xsd:gYear"),
    ("label", '; rdfs:label "registered trials"', "", "Violation", "a label"),
    ("organization", 'rdfs:label "Alliancells" ;', "", "Violation", "its name"),
    ("organization", '"INDUSTRY"', '"INDIV"', "Violation", "no person"),
    ("organization", "1@10^6 cells", "asked of someone@example.org", "Warning", "e-mail"),
    ("registered", "stroma:LinkMethodRegistryNumber", "stroma:MeasureACR20", "Violation", "which method"),
    ("registered", " ; prov:wasDerivedFrom reference:a ;", " ;", "Violation", "rests on"),
    ("registered", '"derived" .', '"probable" .', "Violation", "background, result, derived"),
    ("registered", "dcterms:references publication:a ;", "", "Violation", "which publication"),
    ("registered", "dcterms:subject trial:a ;", "", "Violation", "which trial"),
    ("registered", "stroma:ResultFewerThanPlanned", "stroma:PhaseEarly1", "Violation", "two sides"),
    ("registered", 'stroma:computation "20 planned, 10 actual." ;', "", "Violation", "in words"),
    ("registered", "stroma:actualEnrollment 10", "stroma:actualEnrollment 10.5", "Violation", "whole number"),
    ("planned-outcome", 'rdfs:label "ACR20" ;', "", "Violation", "the name"),
    ("planned-outcome", '"primary"', '"main"', "Violation", "primary, secondary or other"),
]


def results(turtle: str) -> set[tuple[str, str]]:
    """(severity, message) of everything the shapes report of a small graph."""
    lines = sorted(map(line_of, parse(HEADER + turtle, RdfFormat.TURTLE)))
    return {(found.severity, found.message) for found in validate(lambda: lines, SHAPES)}


def test_every_shape_file_has_an_example() -> None:
    assert {path.stem for path in SHAPES.glob("*.ttl")} == set(GOOD) == {bad[0] for bad in BAD}


@pytest.mark.parametrize("kind", GOOD)
def test_a_sound_graph_is_not_reported(kind: str) -> None:
    assert results(GOOD[kind]) == set()


@pytest.mark.parametrize(("kind", "old", "new", "severity", "words"), BAD)
def test_one_fault_is_reported_with_what_to_do(
    kind: str, old: str, new: str, severity: str, words: str
) -> None:
    assert old in GOOD[kind]
    reported = results(GOOD[kind].replace(old, new, 1))
    assert any(found == severity and words in message for found, message in reported), reported


@pytest.mark.parametrize("printed", ["85.5", "86", "85.51"])
def test_a_percentage_agrees_with_its_counts_in_the_decimals_it_was_printed_with(printed: str) -> None:
    # 59 of 69 is 85.507...
    counts = f"stroma:numberAffected 59 ; stroma:sampleSize 69 ; stroma:percentage '{printed}'^^xsd:decimal"
    about = "stroma:aboutArm group:a ; stroma:forMeasure stroma:MeasureFemaleSex"
    assert results(f"observation:a a stroma:OutcomeObservation ; {about} ; {counts} .") == set()


def test_every_constraint_says_what_to_do_and_how_grave_it_is() -> None:
    for path in SHAPES.glob("*.ttl"):
        graph = Graph().parse(path)
        for shape in graph.subjects(RDF.type, SH.NodeShape):
            constraints = list(graph.objects(shape, SH.property)) or [shape]
            for constraint in constraints:
                assert (constraint, SH.severity, None) in graph, (path.name, shape)
            for constraint in list(graph.objects(shape, SH.sparql)) or constraints:
                message = str(graph.value(constraint, SH.message) or "")
                assert re.match(r"[A-Z][^:]+", message), (path.name, shape)
                assert message.endswith("."), message


def test_closed_lists_of_shapes_are_the_individuals_of_the_ontology() -> None:
    modules = Graph()
    for path in (ROOT / "ontology" / "modules").glob("*.ttl"):
        modules.parse(path)
    own = STROMA("").value
    individual = URIRef("http://www.w3.org/2002/07/owl#NamedIndividual")
    declared = {str(term).removeprefix(own) for term in modules.subjects(RDF.type, individual)}
    checked = 0
    for path in SHAPES.glob("*.ttl"):
        graph = Graph().parse(path)
        for values in graph.objects(None, SH["in"]):
            names = {
                str(item).removeprefix(own) for item in Collection(graph, values) if str(item).startswith(own)
            }
            if names:
                kind = re.match(r"[A-Z][a-z]+", min(names))  # individuals are named <Kind><Value>
                assert kind is not None
                assert names == {name for name in declared if name.startswith(kind[0])}, path.name
                checked += 1
    assert checked >= 18
