"""Pages for people: one HTML file each that needs nothing else, all in one style, made by Jinja from templates.

A page's template extends `base.html` and lies in the folder `templates` beside its module; `base.html`, `style.css` and
`tables.html` lie here.
"""

from __future__ import annotations

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render_page(package: str, template: str, **values: Any) -> str:
    """The page that this template of the package makes of the values.

    Everything in them is escaped but for what the template calls safe; a value that is not there is an error.
    """
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("contracts")])
    # autoescape is named outright: by file name Jinja would leave `.txt` and its like alone.
    page = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(template)
    return page.render(values) + "\n"
