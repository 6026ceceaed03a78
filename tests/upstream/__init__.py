# SPDX-License-Identifier: BSD-3-Clause
"""The tests of joblib and scikit-learn, run with their results in a plib_cache."""
