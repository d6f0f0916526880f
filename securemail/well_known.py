"""Large providers by the ends of their servers' names: a certificate of their own making there is
not theirs. Pure data; it serves explanations and decides nothing.
"""

from __future__ import annotations

MICROSOFT = ("outlook.com", "office365.com", "hotmail.com", "live.com")
GOOGLE = ("gmail.com", "googlemail.com")
YAHOO = ("yahoo.com", "yahoo.co.jp", "aol.com")
APPLE = ("mail.me.com", "icloud.com")
FASTMAIL = ("fastmail.com", "messagingengine.com")
ZOHO = ("zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zohocloud.ca")
GMX = ("gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.com", "web.de", "mail.com")
YANDEX = ("yandex.com", "yandex.ru", "yandex.net")

_WAYS = ("imap", "pop", "smtp")
_NAMES = {
    "Microsoft": MICROSOFT,
    "Google": GOOGLE,
    "Yahoo": YAHOO,
    "Apple": APPLE,
    "Fastmail": FASTMAIL,
    "Zoho": ZOHO,
    "GMX": GMX,
    "Yandex": YANDEX,
    "Mail.ru": ("mail.ru",),
    "QQ Mail": ("qq.com",),
    # Below these providers' own domains are computers of their customers as well.
    "Deutsche Telekom": tuple(f"secure{way}.t-online.de" for way in ("imap", "pop", "smtp")),
    "IONOS": tuple(f"{way}.ionos.{end}" for way in _WAYS for end in ("com", "de")),
    "Comcast": tuple(f"{way}.comcast.net" for way in _WAYS),
    "AT&T": ("mail.att.net",),
    "Orange": tuple(f"{way}.orange.fr" for way in _WAYS),
    "Free": tuple(f"{way}.free.fr" for way in _WAYS),
    "Posteo": ("posteo.de",),
    "mailbox.org": ("mailbox.org",),
}


def provider_of(host: str | None) -> str | None:
    """Whose server `host`, normalised, is by its name; None where it is nobody's known here."""
    for name, ends in _NAMES.items():
        if host and any(is_within(host, end) for end in ends):
            return name
    return None


def is_within(host: str, end: str) -> bool:
    """Whether `host` is `end`, or below it."""
    return host == end or host.endswith("." + end)
