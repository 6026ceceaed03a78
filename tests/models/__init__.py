# SPDX-License-Identifier: BSD-3-Clause
"""Models of the core's lock-free protocol, explored exhaustively; explore.py says how."""
