# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the protection of the region's memory, and the guest in which they find protection keys.

``table`` says what runs in it, ``python -m protection`` runs that; ``protection.guest`` runs any
command.
"""
