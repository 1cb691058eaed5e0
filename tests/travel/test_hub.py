"""The Hub's mixin, with the Hub itself replaced by a folder: nothing goes over a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import hub_mixin

from softcam import SoftCAM
from softcam.common import SoftCAMError
from tests.travel.test_folder import same, tiny


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays the Hub: OWNER/NAME/FILE."""
    root = tmp_path / "hub"
    root.mkdir()

    class Api:
        def __init__(self, token: str | None = None) -> None:
            self.token = token

        def create_repo(self, repo_id: str, **options: Any) -> Any:
            (root / repo_id).mkdir(parents=True, exist_ok=True)
            return type("Address", (), {"repo_id": repo_id})

        def upload_folder(self, repo_id: str, folder_path: Path, **options: Any) -> str:
            shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)
            return f"hub:{repo_id}"

    def fetch(repo_id: str, filename: str, **options: Any) -> str:
        if not (root / repo_id / filename).is_file():
            raise FileNotFoundError(f"no {filename} in {repo_id}")
        return str(root / repo_id / filename)

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    monkeypatch.setattr(hub_mixin, "hf_hub_download", fetch)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    return root


def test_a_model_goes_up_and_comes_down(remote: Path) -> None:
    model = tiny()
    assert (
        model.push_to_hub("me/cells", class_names=("a", "b", "c"), private=True) == "hub:me/cells"
    )
    files = {path.name for path in (remote / "me" / "cells").iterdir()}
    assert files == {"config.json", "model.safetensors", "README.md"}
    again = SoftCAM.from_pretrained("me/cells", revision="main")
    assert same(model, again) and again.class_names == ("a", "b", "c")


def test_what_is_not_on_the_hub_is_said(remote: Path) -> None:
    with pytest.raises(SoftCAMError, match=r"'me/none' is no folder here.*no config.json"):
        SoftCAM.from_pretrained("me/none")
    tiny().push_to_hub("me/cells")
    (remote / "me" / "cells" / "model.safetensors").rename(remote / "me" / "cells" / "model.bin")
    with pytest.raises(SoftCAMError, match=r"no model.safetensors.*pickles are not read"):
        SoftCAM.from_pretrained("me/cells")
    with pytest.raises(SoftCAMError, match="3 logits"):
        tiny().push_to_hub("me/cells", class_names=["a"])


def test_a_folder_is_read_without_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **options: Any) -> None:
        raise AssertionError("a folder was looked for on the Hub")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", never)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", never)
    model = tiny()
    model.save_pretrained(tmp_path)
    assert same(model, SoftCAM.from_pretrained(tmp_path))
