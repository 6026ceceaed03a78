# SPDX-License-Identifier: BSD-3-Clause
"""Tests of one part each; a package, so that those of one part can share what is not a fixture."""
