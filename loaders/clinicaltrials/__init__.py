"""ClinicalTrials.gov: API v2 records, archived records of the classic form, and our tables of RA trials."""
