"""Says where it comes from, and what its name is."""

import smtplib
import ssl


def main(where):
    context = ssl.create_default_context()
    server = smtplib.SMTP_SSL(
        where.host,
        where.submissions,
        local_hostname="laptop.example.org",
        source_address=("127.0.0.3", 0),
        context=context,
        timeout=20,
    )
    yield server.local_hostname, server.sock.getsockname()[0], server.sock.gettimeout()
    yield server.ehlo(), server.login(where.user, where.password)
    yield server.quit()

    with smtplib.SMTP(
        where.host, where.submission, "laptop.example.org", 20, ("127.0.0.3", 0)
    ) as server:
        yield server.local_hostname, server.sock.getsockname()[0], server.sock.gettimeout()
        yield server.starttls(context=context)
        yield server.sock.getsockname()[0], server.sock.gettimeout()
        yield server.ehlo("other.example.org")
