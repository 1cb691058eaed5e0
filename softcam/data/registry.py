"""The sources of data by name: where each comes from, what it may be used for, who reads it.

`softcam data list` prints this table and `open_data` goes through it. Terms are what the sites'
pages, or the licence files that come with a set, were seen to say; what could not be read there is
called unconfirmed. A source that is read from
files has a reader `f(path, **options) -> (Store, Catalogue)`: everything after `path` is an option
of the source, but for `size` and `progress`, which are those of `open_data`. Softcam contains none
of these images and fetches none that need an account.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softcam.common import choose

if TYPE_CHECKING:
    from softcam.data.catalogue import Catalogue
    from softcam.data.store import Store

__all__ = ["SOURCES", "Source", "source_of"]

GIVEN = ("size", "progress")  # keywords that `open_data` has itself, for readers that take them


@dataclass(frozen=True)
class Source:
    """A kind of data set.

    Attributes:
        name: what stands before the colon, `rsna` in `rsna:PATH`.
        title: what it is.
        reader: `module:function`, imported on first use. None for phantoms, which are drawn.
        form: what stands after the colon, and what has to lie there.
        get: how to come by it, with the address of the site.
        licence: what may be done with the images.
        credit: the line to set beside a picture.
        share: whether images may be shown in published output; False wherever that is in doubt.
        by_name: what stands after the colon is a name that the reader understands, not a path.
        unshared: names of sets for which `share` does not hold.
    """

    name: str
    title: str
    reader: str | None
    form: str
    get: str
    licence: str
    credit: str
    share: bool
    by_name: bool = False
    unshared: tuple[str, ...] = ()

    def load(self) -> Callable[..., tuple[Store, Catalogue]]:
        """The reader; it is called with a path (or a name, see `by_name`) and options."""
        if self.reader is None:
            raise TypeError(f"{self.name} is drawn, not read")
        module, _, function = self.reader.partition(":")
        found: Callable[..., tuple[Store, Catalogue]] = getattr(
            importlib.import_module(module), function
        )
        return found

    def shares(self, name: str = "") -> bool:
        """Whether images of the set `name` (what stands after the colon) may be published."""
        return self.share and name.strip().lower() not in self.unshared

    def options(self) -> dict[str, Any]:
        """The options of the source and their defaults; `GIVEN` are no options."""
        if self.reader is None:
            from dataclasses import MISSING, fields

            from softcam.data.phantoms import PhantomOptions

            return {
                item.name: None if item.default is MISSING else item.default
                for item in fields(PhantomOptions)
                if item.name not in ("modality", "size")
            }
        parameters = list(inspect.signature(self.load()).parameters.values())[1:]
        return {
            item.name: None if item.default is inspect.Parameter.empty else item.default
            for item in parameters
            if item.name not in GIVEN
        }

    def takes(self, name: str) -> bool:
        """Whether the reader wants to know one of `GIVEN`."""
        return self.reader is not None and name in inspect.signature(self.load()).parameters


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "phantoms",
            "Drawn images with a known truth: chest X-ray, retinal OCT, fundus",
            None,
            "phantoms:cxr, phantoms:oct or phantoms:fundus; nothing has to lie anywhere",
            "Drawn on first use.",
            "MIT, as the code.",
            "Phantom, softcam",
            True,
            True,
        ),
        Source(
            "folder",
            "Your own images",
            "softcam.data.folder:read_folder",
            "folder:PATH with images/ and labels.csv; boxes.csv or masks/ for what is marked",
            "You bring them.",
            "not known to softcam: ask whoever gave you the images.",
            "your own source",
            False,
        ),
        Source(
            "rsna",
            "RSNA Pneumonia Detection Challenge: chest X-rays with boxes",
            "softcam.data.sets.rsna:read_rsna",
            "rsna:PATH with the two stage_2 label tables and stage_2_train_images/ (DICOM or PNG), "
            "as a folder or as the zip",
            "Sign in at https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, accept the "
            "rules, download all.",
            "The RSNA allows research, education and other uses with the acknowledgement that "
            "https://www.rsna.org/education/ai-resources-and-training/ai-image-challenge/"
            "rsna-pneumonia-detection-challenge-2018 asks for; whether images may be passed on, "
            "and the challenge's own rules, are unconfirmed here: see the site's terms.",
            "RSNA Pneumonia Detection Challenge 2018; images of NIH ChestX-ray (Wang et al., CVPR "
            "2017), NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC",
            False,
        ),
        Source(
            "oct",
            "Retinal OCT of Kermany et al. 2018, version 3",
            "softcam.data.sets.oct:read_oct",
            "oct:PATH with train/ and test/ and a folder a class in each; a folder or the zip",
            "Download https://data.mendeley.com/datasets/rscbjbr9sj/3.",
            "CC BY 4.0 for version 2 of the deposit; for version 3 it is unconfirmed here: see the "
            "site's terms.",
            "Kermany, Zhang, Goldbaum, Mendeley Data rscbjbr9sj; Kermany et al., Cell 2018",
            False,
        ),
        Source(
            "kaggle-dr",
            "Diabetic retinopathy detection: fundus photographs of EyePACS, grades 0 to 4",
            "softcam.data.sets.kaggle_dr:read_kaggle_dr",
            "kaggle-dr:PATH with the label tables and the photographs",
            "Sign in at https://www.kaggle.com/c/diabetic-retinopathy-detection, accept the rules, "
            "download all and join the parts of the archives.",
            "The challenge's rules, which are unconfirmed here: see the site's terms.",
            "EyePACS, Kaggle Diabetic Retinopathy Detection",
            False,
        ),
        Source(
            "idrid",
            "Indian Diabetic Retinopathy Image Dataset: graded fundus photographs, some with masks",
            "softcam.data.sets.idrid:read_idrid",
            "idrid:PATH with 'B. Disease Grading', and 'A. Segmentation' for the masks, as a "
            "folder or as one zip",
            "Sign in at https://ieee-dataport.org/open-access/"
            "indian-diabetic-retinopathy-image-dataset-idrid and download A and B.",
            "CC BY 4.0.",
            "IDRiD (Porwal et al., Data 2018), CC BY 4.0",
            True,
        ),
        Source(
            "medmnist",
            "MedMNIST+: small standard sets, 28 to 224 pixels",
            "softcam.data.sets.medmnist:read_medmnist",
            "medmnist:NAME, such as medmnist:pneumoniamnist; fetched on first use",
            "Fetched from https://zenodo.org/records/10519652, or put there by hand.",
            "CC BY 4.0; dermamnist CC BY-NC 4.0, not for commercial use.",
            "MedMNIST v2 (Yang et al., Scientific Data 2023), and the source of the set",
            True,
            True,
            ("dermamnist",),
        ),
    )
}


def source_of(name: str) -> Source:
    """A source by name; an `UnknownNameError` with the closest ones where there is none."""
    return SOURCES[choose("data source", name, SOURCES)]
