# SPDX-License-Identifier: BSD-3-Clause
"""Which of pymemcache's own tests cannot pass with a client that has no socket, and why.

Most of its unit tests give the client a socket whose answers the test has written down.  Here they
are run with a client that has no socket, over an empty region: what a test then expects must be
what an empty region answers too.  The others are listed, with what their failure must say.
"""

from __future__ import annotations

from .judge import Listed

# Classes and tests that are not run at all.
NOT_RUN = {
    "TestClientSocketConnect": "how a socket is opened and closed",
    "TestRetryOnEINTR": "how a socket is read",
    "TestMockClient": "pymemcache's own stand-in for its client",
    "test_tls": "TLS (and skipped by pymemcache)",
}


_LISTED = {
    Listed(
        "looks at what went through the socket",
        r"'NoneType' object has no attribute '(send_bufs|closed)'",
    ): """TestClient::test_explicit_flags TestClient::test_serialization
        TestClient::test_serialization_flags TestClient::test_serialization_overridden_flags
        TestClient::test_set_many_socket_handling TestClient::test_set_socket_handling
        TestClient::test_stats TestClient::test_stats_cachedump
        TestClient::test_stats_conversions""",
    Listed(
        "the socket fails, or answers what no server does",
        "DID NOT RAISE",
    ): """TestClient::test_closing_socket_on_unexpected_closed_error
        TestClient::test_delete_exception TestClient::test_get_error
        TestClient::test_get_unknown_error TestClient::test_incr_exception
        TestClient::test_set_client_error TestClient::test_set_error TestClient::test_set_exception
        TestClient::test_set_many_exception TestClient::test_set_server_error
        TestClient::test_set_unknown_error TestClient::test_version_exception
        TestPooledClient::test_default_noreply_set_many""",
    Listed(
        "the answer is written down, and the region's is another: the key is not there",
        r"^assert |^$",
    ): """TestClient::test_append_stored TestClient::test_cas_exists TestClient::test_cas_stored
        TestClient::test_cr_nl_boundaries TestClient::test_get_recv_chunks
        TestClient::test_gets_found TestClient::test_gets_many_some_found
        TestClient::test_prepend_stored TestClient::test_python_dict_get_is_supported
        TestClient::test_replace_stored TestClient::test_touch_found
        TestPrefixedClient::test_python_dict_get_is_supported
        TestPrefixedPooledClient::test_python_dict_get_is_supported""",
    Listed(
        "the answer is written down, and the region has no reason to refuse",
        r"^assert (True is False|\[\] == \[b'key'\])",
    ): """TestClient::test_default_noreply_add TestClient::test_default_noreply_flush_all
        TestClient::test_default_noreply_set TestClient::test_default_noreply_set_many
        TestPooledClient::test_default_noreply_add TestPooledClient::test_default_noreply_flush_all
        TestPooledClient::test_default_noreply_set""",
    Listed(
        "the answer is written down, and that of a server of ours is another",
        r"fake_stats|1\.6\.18",
    ): "TestClient::test_stats_with_blank_value TestClient::test_version_success",
    Listed(
        "a command that no server knows; there is nothing more to come that one could wait for",
        r"^(misc|key|shutdown|stats|b'(misc|key|shutdown|stats)'|)$",
    ): """TestClient::test_raw_command_custom_end_tokens
        TestClient::test_raw_command_default_end_tokens
        TestClient::test_raw_command_empty_end_tokens
        TestClient::test_raw_command_missing_end_tokens TestClient::test_raw_command_types
        TestClient::test_send_end_token_types TestClient::test_shutdown
        TestClient::test_stats_with_args""",
    Listed(
        "a region keeps its size",
        "MEMLIMIT_ADJUST_FAILED",
    ): "TestClient::test_cache_memlimit test_misc",
}

EXPECTED = {test: listed for listed, tests in _LISTED.items() for test in tests.split()}
