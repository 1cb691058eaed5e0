"""Claims: a question with its endpoint, sides and smallest effect, written before the results.

A claim is a file (`read_claim`) or the one question of a study (`study_claim`). Each rival gets
an answer: paired by image, pooled over seeds, with Holm's correction over the rivals (`answers`).
The answers make a verdict on each data set: holds, does not hold, undecided, or not testable here
(`judge`), with the power against the deciding rival, for the smallest effect of
interest (`power`).
"""

from __future__ import annotations

from softcam.claims.asking import Answer, answers
from softcam.claims.judging import LEAST, NO_RESULTS, VERDICTS, Verdict, judge
from softcam.claims.power import detectable, power
from softcam.claims.reading import read_claim, read_claims
from softcam.claims.records import Claim, Endpoint, Side, study_claim
from softcam.claims.words import answers_in_words

__all__ = [
    "LEAST",
    "NO_RESULTS",
    "VERDICTS",
    "Answer",
    "Claim",
    "Endpoint",
    "Side",
    "Verdict",
    "answers",
    "answers_in_words",
    "detectable",
    "judge",
    "power",
    "read_claim",
    "read_claims",
    "study_claim",
]
