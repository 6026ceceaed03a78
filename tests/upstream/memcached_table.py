# SPDX-License-Identifier: BSD-3-Clause
"""Which of memcached's own tests (``t/*.t`` of 1.6.18) hold for ``serve``, and why the rest do not.

Those that apply must pass whole.  The others ask for something that only memcached has: its memory
of slabs, its options, its debugging commands.
"""

from __future__ import annotations

VERSION = "1.6.18"

# Each passes, with at least so many checks.
APPLY = {
    "ascii-auth": 9,
    "bogus-commands": 1,
    "cas": 43,
    "chunked-items": 16000,
    "evictions": 90,
    "flags": 8,
    "getandtouch": 15,
    "getset": 37000,
    "idle-timeout": 11,
    "incrdecr": 23,
    "issue_104": 6,
    "issue_108": 4,
    "issue_152": 2,
    "issue_192": 2,
    "issue_3": 8,
    "issue_41": 600,
    "issue_68": 900,
    "issue_70": 4,
    "malicious-commands": 3,
    "maxconns": 1,
    "metaget": 148,
    "multiversioning": 13,
    "noreply": 9,
    "quit": 1,
    "touch": 4,
    "unixsocket": 3,
}

BINARY = "the binary protocol, which memcached itself calls deprecated"
CLOCK = "sets memcached's clock forward (debugtime); the region's clock is the machine's"
EXTSTORE = "memcached's storage on flash"
LRU = "memcached's queues and its thread that tends them"
OPTIONS = "an option of memcached's that is not there"
PROXY = "memcached's proxy"
SLABS = "the slabs of memcached's memory, and what it says of them"
SKIPPED = "skips itself"
TLS = "memcached's TLS, with its own options and statistics; serve's is tested on its own"
WATCH = "the log that watch shows"

REST = {
    "00-startup": OPTIONS,
    "64bit": SKIPPED,
    "binary": BINARY,
    "binary-extstore": EXTSTORE,
    "binary-get": BINARY,
    "binary-sasl": BINARY,
    "chunked-extstore": EXTSTORE,
    "conn-limits": "memcached's limits of memory for answers and for reading",
    "daemonize": OPTIONS,
    "dash-M": "errors in the place of evictions (-M)",
    "dyn-maxbytes": "a limit of memory that a client can change (cache_memlimit)",
    "error-extstore": EXTSTORE,
    "expirations": CLOCK,
    "extstore": EXTSTORE,
    "extstore-buckets": EXTSTORE,
    "extstore-jbod": EXTSTORE,
    "flush-all": "its last part needs an option (-F); the conversations have the rest",
    "issue_14": SLABS,
    "issue_140": SKIPPED,
    "issue_163": SLABS,
    "issue_183": SLABS,
    "issue_22": SLABS,
    "issue_260": SKIPPED,
    "issue_29": SLABS,
    "issue_42": SLABS,
    "issue_50": BINARY,
    "issue_61": "how often a connection gives way to others (conn_yields)",
    "issue_67": OPTIONS,
    "item_size_max": "that sizes below 1 KiB and above 128 MiB are refused at the start",
    "line-lengths": "the lines of memcached's own papers",
    "lru": LRU,
    "lru-crawler": LRU,
    "lru-maintainer": LRU,
    "misbehave": SKIPPED,
    "proxy": PROXY,
    "refhang": SKIPPED,
    "restart": "memcached's memory in a file (-e); a region's is one anyway",
    "shutdown": "a client that may end the server (-A)",
    "slabhang": SKIPPED,
    "slabs-reassign-chunked": SLABS,
    "slabs-reassign2": SLABS,
    "slabs_reassign": SLABS,
    "ssl_cert_refresh": TLS,
    "ssl_ports": TLS,
    "ssl_proto_version": TLS,
    "ssl_session_resumption": TLS,
    "ssl_settings": TLS,
    "ssl_verify_modes": TLS,
    "stats": "exactly the 83 names that memcached has",
    "stats-conns": "a list of all connections",
    "stats-detail": "counts by prefix of keys; regions have namespaces",
    "strtol-testing": SLABS,
    "udp": "UDP",
    "watcher": WATCH,
    "watcher_connid": WATCH,
    "whitespace": "the spaces in memcached's own sources",
}
