"""What the rules read from registry text, and what they leave unread. Each text is of a real record."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.clinicaltrials import dosing_rules, outcome_rules, text_rules


@pytest.mark.parametrize(
    ("text", "tissue"),
    [
        ("Umbilical Cord-Derived Mesenchymal Stem Cells (UC-MSCs)", "UmbilicalCord"),
        ("hUC-MSC suspension", "UmbilicalCord"),
        ("allogeneic human umbilical cord blood (hUCB)-derived mesenchymal stem cell", "UmbilicalCordBlood"),
        ("Wharton's jelly derived mesenchymal stem cell of the umbilical cord", "WhartonJelly"),
        ("HB-adMSCs", "Adipose"),
        ("Mesenchymal Cells from bone marrow isolation", "BoneMarrow"),
        (
            "Culture expanded mesenchymal stem cells isolated from patient's own abdominal fat tissue",
            "Adipose",
        ),
        ("Deciduous dental pulp mesenchymal stem cells", "DentalPulp"),
        ("Placental MSC", "Placenta"),
        # Silence: none named, two named, or one named of something else.
        ("2 million hMSC/kg", None),
        ("bone marrow mesenchymal stem cells or adipose-derived mesenchymal stem cells", None),
        ("Cord Blood Tissue-Derived Mesenchymal Stromal Cells", None),
        ("Autologous adipose tissue enriched with platelets", None),
    ],
)
def test_tissue(text: str, tissue: str | None) -> None:
    found = text_rules.tissues(text)
    assert (found[0].value.value.rpartition("Tissue")[2] if len(found) == 1 else None) == tissue
    assert all(reading.words in text for reading in found)


@pytest.mark.parametrize(
    ("text", "donor"),
    [
        ("Autologous mesenchymal stem cells", "Autologous"),
        ("Allogenic umbilical cord derived stem cells", "Allogeneic"),
        ("isolated from patient's own abdominal fat tissue", "Autologous"),
        ("MSC (mesenchymal stem cells) prepared from bone marrow of healthy donors", "Allogeneic"),
        ("autologous MSC and allogeneic MSC", None),
        ("mesenchymal stem cells fixed in allogenic bone tissue", None),
        ("Autologous peripheral blood stem cells infusion", None),
        ("UC-MSC", None),
    ],
)
def test_donor(text: str, donor: str | None) -> None:
    found = text_rules.donor(text)
    assert (found.value.value.rpartition("Donor")[2] if found else None) == donor


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("infused intravenously(single dose)", ["Intravenous"]),
        ("the i.v Administration of cells", ["Intravenous"]),
        ("treated to patients, IV, Repeat every weeks", ["Intravenous"]),
        ("intravenous infusion and intralesional injection", ["Intravenous", "Intralesional"]),
        ("cells will be injected into the knee joint via 22G needle", ["IntraArticular"]),
        ("obtained from subcutaneous fat", []),
        ("a stage IV carcinoma", []),
    ],
)
def test_routes(text: str, routes: list[str]) -> None:
    assert [found.value.value.rpartition("Route")[2] for found in text_rules.routes(text)] == routes


@pytest.mark.parametrize(
    ("text", "doses"),
    [
        ("single dose, 4x10^7 cells", [("4E+7", None, "{cells}")]),
        ("1×10⁶ cells/kg", [("1E+6", None, "{cells}/kg")]),
        ("a single dose of 2×107 hUC-MSC", [("2E+7", None, "{cells}")]),
        ("at doses of 4*10^7 cells", [("4E+7", None, "{cells}")]),
        ("Intravenous 1*10E6 MSCs/kg body weight", [("1E+6", None, "{cells}/kg")]),
        ("2 million hMSC/kg", [("2E+6", None, "{cells}/kg")]),
        ("Single intravenous infusion of 100 million cells", [("1E+8", None, "{cells}")]),
        ("intra spinal injection of 1 ×10(8) mesenchymal stem cells", [("1E+8", None, "{cells}")]),
        ("Dosage: 2 x 10^6 cells/kgBW, twice", [("2E+6", None, "{cells}/kg")]),
        ("(1000000 to 2000000 cells/Kg)", [("1000000", "2000000", "{cells}/kg")]),
        ("three doses of 2.0-2.86×10^6 cells/kg", [("2E+6", "2.86E+6", "{cells}/kg")]),
        ("at a dose between 2 and 10 million cells", [("2E+6", "1E+7", "{cells}")]),
        ("0.75 or 1.5×10^6 cells/kg", [("7.5E+5", None, "{cells}/kg"), ("1.5E+6", None, "{cells}/kg")]),
        ("20 million cells per subject (0.5×10^6 UCMSCs per kg)", [("2E+7", None, "{cells}")]),
        # No dose: a concentration, a total, a limit, doses that differ in turn, a blood count.
        ("suspension at concentration of 2, 4, or 6 million cells/mL", []),
        ("20x106 cells per cc in a single administration", []),
        ("250,000 cells per 5 uL per 1 entry site", []),
        ("received a total of 400×10^6 cells", []),
        ("(up to a maximum of 200 million cells per infusion)", []),
        ("The first dose will be 1x10^6 MSC/kg and the second dose will be 5x10^6 MSC/kg", []),
        ("platelets < 50 x 10^9/L", []),
        ("1 x 10e6 cells/cm²", []),
    ],
)
def test_doses(text: str, doses: list[tuple[str, str | None, str]]) -> None:
    found = [(dose.low, dose.high, dose.unit) for dose in dosing_rules.doses(text)]
    assert found == [(Decimal(low), Decimal(high) if high else None, unit) for low, high, unit in doses]
    assert all(dose.words in text for dose in dosing_rules.doses(text))


@pytest.mark.parametrize(
    ("text", "count", "days"),
    [
        ("(single dose, 4x10^7 cells).The interval time is 3 months, with 4 times infusion.", "4", "91.3125"),
        ("administered at days 1, 8 and 15", "3", "7"),
        ("3 repeated intravenous injection at 4 week intervals", "3", "28"),
        ("infusions on Days 0, 30, 60, and 90", "4", "30"),
        ("a single dose of 2×107 cells, Repeat every weeks for four times", "4", "7"),
        ("Single IV administration of cells; follow-up every 3 months", "1", None),
        ("Two doses of 80 million cells", "2", None),
        # Silence: a range, a limit, sites of one treatment, a second time later.
        ("Treatment will consist of 3-5 doses", None, None),
        ("one dose of 1*10^6 cells once a day for continuous three days", None, "1"),
        ("receive up to 2 infusions of mesenchymal stem cells", None, None),
        ("15 injections in the anterior wall of the left ventricle", None, None),
        ("a single dose infusion on Day 1 and at Month 6", None, None),
        ("two infusions approximately 14 to 21 days apart", "2", None),
        ("patients are seen at weeks 4, 8 and 12 after infusion", None, None),
    ],
)
def test_schedule(text: str, count: str | None, days: str | None) -> None:
    number, interval = dosing_rules.number_of_doses(text), dosing_rules.interval(text)
    assert (number.value.value if number else None, interval.value.value if interval else None) == (
        count,
        days,
    )


@pytest.mark.parametrize(
    ("name", "msc", "inert", "vesicle"),
    [
        ("Umbilical cord mesenchymal stem cells", True, False, False),
        ("HB-adMSCs", True, False, False),
        ("Prochymal™", True, False, False),
        ("Stem Cell Transplantation", False, False, False),
        ("autologous bone marrow mononuclear cells", False, False, False),
        ("mesenchymal stem cell conditioned medium-derived factor", False, False, False),
        ("MSC-exosomes delivered intravenously", False, False, True),
        ("Injection of Secretome-MSCs", False, False, True),
        ("Placebo", False, True, False),
        ("sterile saline", False, True, False),
        ("standard treatment", False, True, False),
    ],
)
def test_kind_of_product(name: str, msc: bool, inert: bool, vesicle: bool) -> None:
    assert bool(text_rules.msc_words(name)) == msc
    assert text_rules.is_inert(name) == inert
    assert bool(text_rules.vesicle_words(name)) == vesicle


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("12 months", ["12"]),
        ("six months", ["6"]),
        ("1month", ["1"]),
        ("Four year follow-up", ["48"]),
        ("Baseline, 6 Months, 18 Months", ["0", "6", "18"]),
        ("at 1, 3, 6 and 12 months", ["1", "3", "6", "12"]),
        ("Day 84", ["2.76"]),  # 84 / 30.4375
        ("Up to day 28±3", ["0.92"]),
        ("52 weeks following infusion", ["11.96"]),
        ("at the end of treatment", []),
    ],
)
def test_time_frames_in_months(text: str, months: list[str]) -> None:
    assert outcome_rules.months(text) == tuple(Decimal(value) for value in months)


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("Proportion of patients with ACR20 response", "ACR20"),
        ("Change in DAS28-ESR from baseline", "DAS28ESR"),
        ("DAS-28", "DAS28"),
        ("Number of Patients With Serious Adverse Events", "SeriousAdverseEvents"),
        ("Visual Analog Scale for pain", "PainVAS"),
        ("C-Reactive Protein", "CRP"),
        ("ESR and CRP", None),  # two measures in one outcome
        ("Overall survival", None),
    ],
)
def test_measure_of_an_outcome(text: str, measure: str | None) -> None:
    found = outcome_rules.measure(text)
    assert (found.value.rpartition("Measure")[2] if found else None) == measure


def test_a_long_number_is_no_time_and_is_read_at_once() -> None:
    assert outcome_rules.months("1" * 200 + " x day") == ()


@given(st.text(max_size=300))
def test_no_text_breaks_a_rule(text: str) -> None:
    text_rules.tissues(text)
    text_rules.donor(text)
    text_rules.routes(text)
    dosing_rules.doses(text)
    dosing_rules.number_of_doses(text)
    dosing_rules.interval(text)
    outcome_rules.months(text)
    outcome_rules.measure(text)


@given(
    amount=st.integers(min_value=1, max_value=99),
    power=st.integers(min_value=5, max_value=9),
    form=st.sampled_from(["{a}x10^{p}", "{a} x 10^{p}", "{a}×10E{p}", "{a} * 10^{p}", "{a}e{p}"]),
    per_kg=st.booleans(),
)
def test_a_dose_is_read_however_it_is_printed(amount: int, power: int, form: str, per_kg: bool) -> None:
    text = f"infusion of {form.format(a=amount, p=power)} cells{'/kg' if per_kg else ''} once"
    (dose,) = dosing_rules.doses(text)
    assert (dose.low, dose.high, dose.unit) == (
        Decimal(amount) * 10**power, None, "{cells}/kg" if per_kg else "{cells}",
    )  # fmt: skip
