"""Sphinx's settings for the site. Everything is local: nothing is fetched at build or view time."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parent / "project.toml").read_text(encoding="utf-8"))

project = "softcam"
author = "the authors of softcam"
release = version = _PROJECT["version"]
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "tools.site.extension",
]
html_math_renderer = "mathml"
exclude_patterns = ["notebooks/assignments/*.ipynb"]  # to download; they are not executed
# Types are found by their last name, which is not always unique: such a link is left out.
suppress_warnings = ["ref.python"]

# Notebooks are executed before Sphinx sees them, or not at all.
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # their scripts would come from elsewhere
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "html_image"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 120
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # as a list, like parameters
highlight_language = "text"  # Python says that it is Python; the rest are commands
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "softcam"
pygments_dark_style = "monokai"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "footer_icons": [],
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#8cc4ea", "color-brand-content": "#8cc4ea"},
}
html_context = {"notice": "For teaching and research, not for clinical use."}
templates_path = ["_templates"]
