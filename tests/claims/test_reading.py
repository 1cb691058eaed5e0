"""Claims as files: what is right is read, what is wrong is named with file and key."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from softcam.claims import Endpoint, Side, read_claim, read_claims
from softcam.common import SoftCAMError

CLAIMS = Path(__file__).parents[2] / "workflow" / "claims"
GOOD = """
id = "mine"
hypothesis = "Sparse maps find more."
paper_says = "nothing"
datasets = ["phantoms-*"]
smallest_effect = 0.05
alternative = "better"
test = "paired permutation"
alpha = 0.05
committed = 2026-11-21

[endpoint]
metric = "patch-precision"
step = "10"

[sides.a]
arm = "sparse"
method = "softcam"

[[sides.b]]
arm = "black-box"
method = ["grad-cam", "layer-cam"]

[[sides.b]]
arm = "dense"
method = "softcam"
"""


def claim(tmp_path: Path, old: str = "", new: str = "", name: str = "mine"):
    assert old in GOOD
    (tmp_path / f"{name}.toml").write_text(GOOD.replace(old, new) if old else GOOD)
    return read_claim(tmp_path / f"{name}.toml")


def test_every_committed_claim_can_be_read() -> None:
    found = read_claims(CLAIMS)
    assert len({each.id for each in found}) == len(found) >= 15
    assert {each.alternative for each in found} == {"better", "not worse", "equal"}


def test_a_reader_adds_a_claim_by_adding_a_file(tmp_path: Path) -> None:
    found = claim(tmp_path)
    assert found.endpoint == Endpoint("patch-precision", step="10")
    assert found.b[0] == Side("black-box", ("grad-cam", "layer-cam"))
    assert found.committed == datetime.date(2026, 11, 21) and found.test == "paired permutation"
    assert found.asks("phantoms-oct") and not found.asks("rsna")
    assert read_claims(tmp_path) == [found]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("smallest_effect", "smalest_effect", "did you mean 'smallest_effect'"),
        ('step = "10"', 'stepp = "10"', "[endpoint] 'stepp': did you mean 'step'"),
        ('step = "10"', "", "endpoint.step: found nothing, expected one of 1, 2"),
        ('step = "10"', 'step = "99"', "endpoint.step: found '99'"),
        ("alpha = 0.05\n", "", "alpha: found nothing, expected a value: the key is missing"),
        ("alpha = 0.05", "alpha = 1.5", "alpha: found 1.5, expected a number above 0 and below 1"),
        ("smallest_effect = 0.05", "smallest_effect = 0", "smallest_effect: found 0"),
        ('"patch-precision"', '"patch-precison"', "did you mean 'patch-precision'"),
        ('"better"', '"beter"', "unknown alternative 'beter': did you mean 'better'"),
        ('"better"', '"equal"', "test: found 'paired permutation', expected 'interval'"),
        ('"dense"', '"dens"', "unknown arm 'dens': did you mean 'dense'"),
        ('"layer-cam"', '"layercam"', "did you mean 'layer-cam'"),
        ('["phantoms-*"]', "[]", "datasets: found [], expected a list of at least one"),
        ("2026-11-21", '"yesterday"', "committed: found 'yesterday', expected a date"),
        ('id = "mine"', 'id = "yours"', "id: found 'yours', expected the name of the file, 'mine'"),
        ('step = "10"', 'step = "10"\nfill = "blur"', "endpoint.fill: found 'blur'"),
        ('step = "10"', 'step = "10"\noccluded = "dense"', "endpoint.occluded: found 'dense'"),
        ("[sides.a]", "[sides.c]", "[sides] 'c'. Known: a, b"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(SoftCAMError) as error:
        claim(tmp_path, old, new)
    assert words in str(error.value) and "mine.toml" in str(error.value)


def test_no_toml_and_no_claims_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="holds no claim"):
        read_claims(tmp_path)
    with pytest.raises(SoftCAMError, match="cannot be read as TOML"):
        claim(tmp_path, "[sides.a]", "[sides.a")


def test_a_number_stands_alone_and_is_no_rival_to_beat(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="a paper's number alone"):
        claim(tmp_path, 'arm = "dense"\nmethod = "softcam"', 'number = "auc"')
