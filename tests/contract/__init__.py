# SPDX-License-Identifier: BSD-3-Clause
"""What the package promises; a package, so that its tests can share what is not a fixture."""
