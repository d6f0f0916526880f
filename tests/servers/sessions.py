"""What other processes run: in a module of its own, which a spawned process can import."""

from securemail import IMAP4_SSL, CertificateRejected, TLSPolicy


def connects(policy: TLSPolicy, port: int) -> str:
    """A session with a polite IMAP server, in whatever process this runs; the version of TLS."""
    with IMAP4_SSL("127.0.0.1", port, policy=policy, timeout=20) as imap:
        imap.login("alice", "password")
        tls = imap.report.tls
        assert tls is not None
        return tls.version


def session_outcome(policy: TLSPolicy, port: int) -> str:
    """The version of TLS, or how the server was refused."""
    try:
        return connects(policy, port)
    except CertificateRejected as error:
        return type(error).__name__
