"""The list of all pages, drawn once for the pages of code that lie equally deep."""

from __future__ import annotations

from typing import Any

from tools.site.extension import _share_navigation


def test_pages_of_code_share_the_list_and_others_do_not() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    drawn: dict[Any, Any] = {}

    def seen(name: str, **options: Any) -> str:
        def draw(**given: Any) -> str:
            asked.append((name, given))
            return f"list for {name}"

        context: dict[str, Any] = {"toctree": draw}
        _share_navigation(drawn, None, name, "page.html", context, None)
        return str(context["toctree"](**options))

    assert seen("_modules/softcam/a") == seen("_modules/softcam/b") == "list for _modules/softcam/a"
    assert seen("_modules/softcam/data/c").endswith("c"), "its links go up by one folder more"
    assert seen("_modules/softcam/b", collapse=True).endswith("b"), "asked otherwise"
    assert [seen("api/convert"), seen("api/evidence")] == [
        "list for api/convert", "list for api/evidence",
    ]  # fmt: skip
    assert len(asked) == 5
