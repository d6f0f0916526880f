"""What was found on a connection: everything decided, and what was *not* checked."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .certificate import Certificate
from .errors import PolicyError
from .pins import fingerprint
from .values import Value, shortly


class Vouched(Value):
    """What a trust store answers when it accepts a server.

    `by`: who vouches, in words. `not_checked`: what the store did not look at. `waivers`: the
    exceptions that were used. `warnings`: raised after the verdict. `acknowledged`: the caller's
    reason for accepting a self-signed certificate, which silences `SelfSignedWarning`.
    `identified_by`: for a store that turned verification inside the handshake off, what it compared
    instead: "name", "key" or "certificate".
    """

    by: str
    not_checked: tuple[str, ...] = ()
    waivers: tuple[str, ...] = ()
    warnings: tuple[Warning, ...] = ()
    acknowledged: str | None = None
    identified_by: str | None = None


class TLSReport(Value, kw_only=True):
    """The TLS of one connection. `chain` is what vouched for the server, DER, leaf first.

    `identified_by`: by what this was found to be the server that was meant. "name": the certificate
    was compared with the name `host`. "key" or "certificate": that was compared, and the name was
    not. "trust store": a store of the caller's own turned verification off and did not say.

    `client_certificate`: the SHA-256 of the one that the policy offers. Whether the server asked
    for it cannot be seen. `revocation`: what was found about that, None where nobody looked.
    """

    host: str | None
    version: str
    cipher: str
    group: str | None = None
    chain: tuple[bytes, ...] = ()
    trusted_by: str
    identified_by: str
    pinned: str | None = None
    waivers: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    warnings: tuple[Warning, ...] = ()
    gated: bool = True
    client_certificate: str | None = None
    revocation: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate, `AB:CD:…`."""
        return fingerprint(self.chain[0]) if self.chain else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data: texts, numbers, lists."""
        plain = {name: getattr(self, name) for name in self._fields}
        plain["chain"] = [_facts(der) for der in self.chain]
        plain["warnings"] = [str(warning) for warning in self.warnings]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    def lines(self) -> list[tuple[str, str]]:
        """Label and text, for a person."""
        group = f", key exchange {self.group}" if self.group else ""
        rows = [
            ("TLS", f"{self.version}, {self.cipher}{group}"),
            self._identity(),
            ("certificate", f"SHA-256 {self.fingerprint}"),
            ("chain", _say_chain(self.chain)),
            ("trusted by", self.trusted_by),
        ]
        if self.pinned:
            rows.append(("pinned", self.pinned))
        if self.client_certificate:
            rows.append(("offered", f"a client certificate, SHA-256 {self.client_certificate}"))
        if self.revocation:
            rows.append(("revocation", self.revocation))
        rows += [("waiver", waiver) for waiver in self.waivers]
        rows += [("warning", str(warning)) for warning in self.warnings]
        rows.append(("not checked", ", ".join(self.not_checked) or "nothing left out"))
        return rows

    def _identity(self) -> tuple[str, str]:
        """Nothing is "verified as" a name that was not compared."""
        if self.identified_by == "name":
            return "verified as", self.host or "no name"
        return "verified", f"by its {self.identified_by}, not by the name {self.host or 'given'}"

    def __repr__(self) -> str:
        """Without the certificates' octets: `chain` has them."""
        chain = shortly(self.chain)
        fields = (
            f"{name}={chain if name == 'chain' else repr(getattr(self, name))}"
            for name in self._fields
        )
        return f"TLSReport({', '.join(fields)})"


def _facts(der: bytes) -> dict[str, str]:
    """One certificate, for machines. One that cannot be read has its fingerprint all the same."""
    facts = {"sha256": fingerprint(der)}
    with suppress(PolicyError, ValueError):
        read = Certificate(der)
        facts |= {"subject": read.subject, "issuer": read.issuer}
        facts |= {"not_after": read.not_after.isoformat()}
    return facts


def _say_chain(chain: tuple[bytes, ...]) -> str:
    """Who was vouched for by whom, leaf first, and how long the leaf is valid."""
    facts = [_facts(der) for der in chain]
    names = " < ".join(one.get("subject", one["sha256"]) for one in facts)
    until = facts[0].get("not_after", "")[:10] if facts else ""
    return f"{names or 'none'}{until and f', valid until {until}'}"


class AuthReport(Value, kw_only=True):
    """How the sign-in was done. `in_clear`: why it was without TLS, where it was."""

    user: str | None
    mechanism: str
    channel_binding: str | None = None
    in_clear: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields}

    def __str__(self) -> str:
        binding = self.channel_binding or "no channel binding"
        who = "" if self.user is None else f"{self.user!r} "
        clear = f", in clear, because: {self.in_clear}" if self.in_clear else ""
        return f"{who}by {self.mechanism}, {binding}{clear}"


BY_CONNECTOR = "by the connector, to "  # how an address begins that is a proxy's or tunnel's


class ConnectionReport(Value, kw_only=True):
    """One connection: where, over what, and who signed in. `print(report)` is for people.

    `address` is where TCP went; "by the connector, to ..." where that is a proxy or a tunnel."""

    protocol: str
    host: str
    port: int
    address: str
    tls: TLSReport | None = None
    auth: AuthReport | None = None
    plaintext: str | None = None  # why mail was allowed to travel in clear
    policy_file: str | None = None  # where SECUREMAIL_POLICY says so

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "protocol": self.protocol,
            "host": self.host,
            "port": self.port,
            "address": self.address,
            "tls": self.tls.as_dict() if self.tls else None,
            "auth": self.auth.as_dict() if self.auth else None,
            "plaintext": self.plaintext,
            "policy_file": self.policy_file,
        }

    def line(self) -> str:
        """One line for a log. No secret can be in it: the report has none."""
        tls = f"{self.tls.version} {self.tls.cipher}" if self.tls else "no TLS"
        by = f", trusted by {self.tls.trusted_by}" if self.tls else ""
        if self.tls and self.tls.identified_by != "name":
            by += f", by its {self.tls.identified_by} and not by the name"
        auth = f", signed in by {self.auth.mechanism}" if self.auth else ""
        return f"{self.protocol} {self._where}: {tls}{by}{auth}"

    def lines(self) -> list[tuple[str, str]]:
        """Label and text, for a person."""
        at = "" if self.address.startswith(BY_CONNECTOR) else "at "
        rows = [("server", f"{self._where} ({self.protocol}), {at}{self.address}")]
        rows += self.tls.lines() if self.tls else [("TLS", "none: everything travels in clear")]
        rows.append(("sign-in", str(self.auth) if self.auth else "none so far"))
        if self.plaintext:
            rows.append(("in clear", f"mail, because: {self.plaintext}"))
        if self.policy_file:
            rows.append(("policy", self.policy_file))
        return rows

    def __str__(self) -> str:
        return "\n".join(f"{label + ':':<13}{text}" for label, text in self.lines())

    @property
    def _where(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
