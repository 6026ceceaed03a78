# SPDX-License-Identifier: BSD-3-Clause
"""Why goals are not met: written by hand, after looking; shown only where one is missed.

The key is a row's name and the peer, as the table calls it ("" where there is none).
"""

WHY: dict[tuple[str, str], str] = {}
