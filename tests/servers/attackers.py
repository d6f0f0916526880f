"""What an attacker shows who may have certificates of his own, and anybody's to send along."""

from servers import by_hand, certificates
from servers.certificates import Issuer, basic_constraints, common_name, key_usage
from servers.kinds import GOOD_NAMES, Kind, Made, Maker, Workshop, ec_key, proper
from servers.kinds import _certificate_of as certificate_of
from servers.kinds import _issuer_of as issuer_of


def _issued(shop: Workshop, signer: Issuer) -> Made:
    own = ec_key()
    extensions = [
        basic_constraints(ca=False),
        key_usage(server=True),
        certificates.extended_key_usage(server=True),
        *certificates.san(GOOD_NAMES),
        *certificates.identifiers(own, signer),
    ]
    name = common_name("Test server")
    return Made(own, certificates.sign(name, own.public_key(), signer, extensions))


def _twin(real: Maker) -> Maker:
    """Issued by somebody with the name and the identifiers of `real`, and another key, who is
    sent along, and the real one after."""

    def make(shop: Workshop) -> Made:
        copied, own = real(shop), ec_key()
        by_root = issuer_of(shop.root).key if copied.leaf.issuer != copied.leaf.subject else own
        change = by_hand.with_key(by_hand.public(own))
        twin = by_hand.signed_again(copied.leaf, by_root, change=change)
        identifier = issuer_of_made(copied).key_identifier
        made = _issued(shop, Issuer(twin.subject, own, identifier))
        return Made(made.key, made.leaf, [twin, copied.leaf])

    return make


def issuer_of_made(made: Made) -> Issuer:
    return Issuer.from_pem(certificates.pem(made.leaf), certificates.private_key_pem(made.key))


def _intermediate(shop: Workshop) -> Made:
    return Made(issuer_of(shop.intermediate).key, certificate_of(shop.intermediate))


def _root(shop: Workshop) -> Made:
    return Made(issuer_of(shop.root).key, certificate_of(shop.root))


def _misissued(shop: Workshop) -> Made:
    """By our root to somebody else, who sends after it what the right server would send."""
    made, right = proper(*GOOD_NAMES)(shop), shop.made("with_intermediate")
    return Made(made.key, made.leaf, [right.leaf, *right.chain])


ATTACKERS: dict[str, Kind] = {
    "misissued": Kind(
        "by our root, for our names; the right certificates sent after it", _misissued
    ),
    "twin_between": Kind(
        "by a twin of our intermediate, which our root signed", _twin(_intermediate)
    ),
    "twin_root": Kind(
        "by a twin of our root, which is sent, and the real one after", _twin(_root), 7
    ),
}
