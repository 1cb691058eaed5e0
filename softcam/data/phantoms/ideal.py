"""What an ideal evidence map would be, in words: for each sign and each counter-case."""

from __future__ import annotations

from softcam.data.phantoms.options import PhantomOptions

__all__ = ["IDEAL", "ideal_map"]

IDEAL: dict[tuple[str, str], str] = {
    ("cxr", "local"): (
        "Positive evidence for the diseased class on the opacity (for effusion: on the fluid in "
        "the costophrenic angle), nothing elsewhere; for the normal class no place is special."
    ),
    ("oct", "local"): (
        "Positive evidence for drusen on the bumps of the pigment epithelium, for DME on the "
        "cysts, for CNV on the elevated membrane and the fluid over it; nothing elsewhere."
    ),
    ("fundus", "local"): (
        "Positive evidence on the lesions that decide: for the binary task on every diabetic "
        "lesion; for the grades on microaneurysms (1), on haemorrhages and exudates (2), on "
        "haemorrhages in all four quadrants together (3, which no single place shows), on the new "
        "vessels (4)."
    ),
    ("cxr", "diffuse"): (
        "The sign is a fine net over both lungs: an ideal map is evenly positive over all lung "
        "and zero outside. A single hot spot is wrong, wherever it lies."
    ),
    ("oct", "diffuse"): (
        "The sign is a grainy retina from end to end: an ideal map is evenly positive between the "
        "inner limiting membrane and the pigment epithelium. A single hot spot is wrong."
    ),
    ("fundus", "diffuse"): (
        "The sign is mottled pigment over the whole field: an ideal map is evenly positive inside "
        "the round field. A single hot spot is wrong."
    ),
    ("cxr", "relational"): (
        "The sign is a heart that is too wide for its chest. No place shows it alone: an ideal "
        "explanation would name both heart borders and both chest walls, as measured against each "
        "other. A sum of local evidence cannot compare them, except by a unit that sees both; the "
        "mask marks the strip by which the heart is too wide."
    ),
    ("oct", "relational"): (
        "The sign is that one side of the inner retina is thinner than the other. No place shows "
        "it alone, since healthy retinas are thick or thin as a whole: an ideal explanation would "
        "name both sides. The mask marks the thin side."
    ),
    ("fundus", "relational"): (
        "The sign is a cup that is too large for its disc, and discs differ in size: an ideal "
        "explanation would name the border of the cup and the border of the disc, as measured "
        "against each other. The mask marks the strip by which the cup is too wide."
    ),
}
MARKER = (
    " The marker should get nothing at any strength of the shortcut; a model that learned the "
    "shortcut is explained honestly by evidence on the marker, where it is, and against the "
    "disease where it is missing."
)
LOOKALIKES = " Look-alikes appear equally in all classes: they should get nothing, or cancel."
LABEL_NOISE = (
    " Wrong labels say nothing about an image: the ideal map is that of the true label, and a map "
    "that explains a wrong label has learned it by heart."
)


def ideal_map(options: PhantomOptions) -> str:
    """What an ideal evidence map of this set would show, counter-cases included."""
    text = IDEAL[options.modality, options.sign]
    if options.marker is not False:
        text += MARKER
    if options.lookalikes:
        text += LOOKALIKES
    if options.label_noise > 0:
        text += LABEL_NOISE
    return text
