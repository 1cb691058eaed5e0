"""Labels shuffled on purpose: what a network is trained on that must not learn anything.

A network trained on shuffled labels can only learn images by heart. A method whose maps look the
same for it as for a network trained on true labels does not show what was learned (Adebayo et al.,
"Sanity Checks for Saliency Maps", NeurIPS 2018, section on data randomisation).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softcam.common import DataError, digest, rng
from softcam.data.records import ImageSet, Splits

__all__ = ["shuffle_labels"]

STREAM = 0x4C41424C  # keeps these draws apart from others with the same seed
SHUFFLED = ("train", "val")  # the test split keeps its labels, so that chance shows there
MARK = {"shuffle_labels": True}


def shuffle_labels(splits: Splits) -> Splits:
    """The same images with the labels of train and val permuted, each within its split.

    How many images have each label stays as it is; of a multi-label set whole rows change places.
    Patients are ignored: two images of one patient may get different labels. Test labels, masks
    and everything else stay, and images and masks remain the memory maps that they are. Name,
    options and fingerprint are others, so that no run and no stored map is taken for one of the
    true labels. The permutation depends on the number of images alone.

    Args:
        splits: a data set with its true labels.

    Raises:
        DataError: the labels are shuffled already.
    """
    if splits.train.options.get("shuffle_labels"):
        raise DataError(f"the labels of {splits.name} are shuffled already: open the data again.")
    changed = {}
    notes = list(splits.notes)
    for number, split in enumerate(("train", "val", "test")):
        data = splits[split]
        labels = np.asarray(data.labels)
        if split in SHUFFLED:
            labels = labels[rng(number, len(data), STREAM).permutation(len(data))]
            same = labels == np.asarray(data.labels)
            kept = int((same.all(1) if data.multi_label else same).sum())
            notes.append(
                f"{split}: labels are shuffled across images, patients ignored; "
                f"{kept} of {len(data)} images have their own label by chance"
            )
        changed[split] = _marked(data, labels)
    return Splits(**changed, notes=tuple(notes), folder=splits.folder)


def _marked(data: ImageSet, labels: np.ndarray) -> ImageSet:
    return replace(
        data,
        name=f"{data.name}-shuffled",
        labels=labels,
        fingerprint=digest(data.fingerprint, MARK),
        options={**data.options, **MARK},
    )
