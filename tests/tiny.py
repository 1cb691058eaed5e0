"""The smallest training that several tests share: seconds, on phantoms of 32 px."""

from __future__ import annotations

from softcam.runs import TrainConfig

TINY = TrainConfig(
    data="phantoms:cxr",
    size=32,
    data_options={"n_train": 48, "n_val": 32, "n_test": 32},
    model="resnet10t-w8-os8",
    epochs=2,
    batch_size=16,
)
