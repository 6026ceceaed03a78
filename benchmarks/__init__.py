# SPDX-License-Identifier: BSD-3-Clause
"""``make bench``: what the cache costs, next to what else one could use, on this machine, now.

``rows`` is the table of what is measured; docs/benchmarks.md says how, and how to read it.
"""
