# SPDX-License-Identifier: BSD-3-Clause
"""Why goals are not met: written by hand, after looking; shown only where one is missed.

The key is a row's name and, as the table calls them, the peer ("" where there is none), or the work
of one of its lines, which goes before.
"""

WHY: dict[tuple[str, str], str] = {}
