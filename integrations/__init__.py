# SPDX-License-Identifier: BSD-3-Clause
"""plib_cache inside other libraries, each module for one of them; import the one you need.

``plib_cache.integrations.joblib`` makes ``joblib.Memory(location, backend="plib")`` work,
``plib_cache.integrations.dask`` gives the workers of a cluster the cache of their machine,
``plib_cache.integrations.diskcache.Cache`` takes the place of ``diskcache.Cache``,
``plib_cache.integrations.pymemcache`` is pymemcache's client without a socket.
"""
