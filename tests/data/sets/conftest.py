"""Data sets in small, in the layout of their source."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.dicom_files import dicom
from tests.data.sets.kaggle_files import SOLUTION, TEST, TRAIN, levels, put, table
from tests.data.sets.rsna_files import (
    IMAGES,
    NORMAL,
    OPACITY,
    OTHER,
    class_rows,
    label_rows,
    pixels,
    write_tables,
)


@pytest.fixture
def rsna_tables(tmp_path: Path) -> Path:
    """The challenge: its two tables, and files that hold nothing: the reader opens none of them."""
    pytest.importorskip("pydicom", reason="the extra softcam[dicom] is not installed")
    folder = tmp_path / "rsna"
    (folder / IMAGES).mkdir(parents=True)
    (folder / "stage_2_test_images").mkdir()
    (folder / "stage_2_test_images" / "unlisted.dcm").touch()
    for patient in NORMAL + OPACITY + OTHER:
        (folder / IMAGES / f"{patient}.dcm").touch()
    write_tables(folder, label_rows(), class_rows())
    return folder


@pytest.fixture
def rsna_folder(rsna_tables: Path) -> Path:
    """The challenge with genuine DICOM files."""
    for patient in NORMAL + OPACITY + OTHER:
        view = "AP" if patient in OPACITY else "PA"
        data = dicom(pixels(patient), "jpeg", ViewPosition=view, PatientID=patient)
        (rsna_tables / IMAGES / f"{patient}.dcm").write_bytes(data)
    return rsna_tables


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """The challenge, unpacked."""
    path = tmp_path / "kaggle"
    put(path, [f"train/{key}.jpeg" for key in TRAIN] + [f"test/{key}.jpeg" for key in TEST])
    table(path / "trainLabels.csv", levels(TRAIN))
    table(path / "retinopathy_solution.csv", SOLUTION, "image,level,Usage")
    return path
