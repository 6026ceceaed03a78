# SPDX-License-Identifier: BSD-3-Clause
"""How Sphinx builds the documents: ``make docs``.

Every warning is an error, also a reference that leads nowhere.  Pages are Markdown (MyST); the
reference of the API is made from the docstrings.
"""

import plib_cache

project = "plib_cache"
author = "The plib_cache authors"
copyright = author  # noqa: A001 - Sphinx calls it so
release = plib_cache.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = "plib_cache"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
