"""TLS as a client that checks nothing, for tests of what is negotiated."""

import socket
import ssl
import struct

SSL_REQUEST = struct.pack("!II", 8, 80877103)


def unchecked_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask_for_tls(tcp: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """As a PostgreSQL client does before its start-up packet."""
    tcp.sendall(SSL_REQUEST)
    assert tcp.recv(1) == b"S"
    return context.wrap_socket(tcp)
