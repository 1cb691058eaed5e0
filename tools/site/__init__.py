"""The site: executed notebooks, the API, troubleshooting and a glossary as static pages.

`python -m tools.site` lays out the pages (`stage`, `books`, `api`, `tables`), lets Sphinx render
them (`render`), and looks at what came out (`links`, `pictures`). Everything is local: no page asks
another host for anything, formulas are MathML, and only pictures that may be shown get in.
"""
