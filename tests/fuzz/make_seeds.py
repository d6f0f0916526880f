"""Makes `seeds/`: certificates and revocation lists to begin from.

Kept, because a case that was found says what it changes in one of these: PYTHONPATH=tests
python -m fuzz.make_seeds
"""

import tempfile
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding

from servers.kinds import KINDS
from servers.malformed import MALFORMED, device
from servers.more_kinds import AUTHORITIES, MORE_KINDS
from servers.pki import PKI
from servers.revocation import issuer_of, revocation_list

SEEDS = Path(__file__).parent / "seeds"
_KINDS = (
    *("good_ecdsa", "good_rsa", "ed25519", "wildcard", "idn", "wrong_ip", "cn_only", "expired"),
    *("weak_key", "weak_signature", "self_signed", "self_signed_cn_only", "self_signed_ca"),
    *("self_signed_no_extensions", "wrong_eku", "rsa_pss", "p521", "no_subject", "uri_only"),
    *("srv_only", "nul_in_name", "must_staple", "eku_any", "constraints_permit"),
)


def main() -> None:
    SEEDS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pki = PKI(Path(folder), {**KINDS, **AUTHORITIES, **MORE_KINDS})
        leaves = b"".join(pki[name].leaf_pem.read_bytes() for name in _KINDS)
        authorities = pki.ca_pem.read_bytes() + pki.intermediate_pem.read_bytes()
        odd = b"".join(
            device(Path(folder), **otherwise).cert.read_bytes() for otherwise in MALFORMED.values()
        )
        (SEEDS / "certificates.pem").write_bytes(leaves + authorities + odd)
        issuer = issuer_of(trustme.CA(organization_name="Root of the tests"))
        lists = (revocation_list(issuer), revocation_list(issuer, pki["good"], pki["good_rsa"]))
        pems = [one.public_bytes(Encoding.PEM) for one in lists]
        (SEEDS / "lists.pem").write_bytes(b"".join(pems))


if __name__ == "__main__":
    main()
