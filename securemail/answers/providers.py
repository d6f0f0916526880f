"""What large providers say. Beside each: where people met it."""

from __future__ import annotations

from ..well_known import APPLE, FASTMAIL, GMX, GOOGLE, MICROSOFT, YAHOO, YANDEX, ZOHO
from .answer import Answer

_NO_PASSWORDS = (
    "The password is not the problem: Microsoft takes none here. Sign in with a token, "
    "authenticate(Token(user, access_token))."
)
_GOOGLE_WANTS = (
    "Google does not take the account's own password here: create an app password "
    "(https://myaccount.google.com/apppasswords; it needs 2-Step Verification), or use a Token."
)
_YAHOO_WANTS = (
    "Yahoo and AOL do not take the account's own password here: create an app password in the "
    "account's security settings, or use a Token."
)
_WEB_LOGIN = (
    "Google stopped this sign-in as unusual: sign in once with a browser and confirm that it was "
    "you; an app password or a Token prevents it."
)

_MICROSOFT_ANSWERS = (
    # simonrob/email-oauth2-proxy#193, nodemailer/nodemailer#1484
    Answer(
        text="smtpclientauthentication is disabled for the tenant",
        hint="The password is not the problem: signing in over SMTP is switched off for the whole "
        "organisation. Its administrator can switch it on: https://aka.ms/smtp_auth_disabled.",
    ),
    # learn.microsoft.com, "Enable or disable authenticated client SMTP submission"
    Answer(
        text="smtpclientauthentication is disabled for the mailbox",
        hint="The password is not the problem: signing in over SMTP is switched off for this "
        "mailbox. An administrator can switch it on: https://aka.ms/smtp_auth_disabled.",
    ),
    # MicrosoftDocs/OfficeDocs-Exchange#2075
    Answer(
        text="security defaults policy",
        hint="The password is not the problem: the organisation's security defaults forbid "
        "passwords. Sign in with a Token, or ask its administrator.",
        of_password=True,
    ),
    # learn.microsoft.com, "Fix issues with printers, scanners, and LOB applications"
    Answer(
        text="did not meet the criteria to be authenticated",
        hint="A rule of the organisation (conditional access) declined this sign-in; its "
        "administrator finds the reason in the sign-in log. A Token may be allowed.",
    ),
    # The same page.
    Answer(
        enhanced="5.7.139",
        text="credentials were incorrect",
        hint="Microsoft takes the user name or the password for wrong. Where two-factor "
        "authentication is on, or the account is a personal one, only a Token will do.",
        of_password=True,
    ),
    # rpremraj/mailR#107; over IMAP "NO Basic authentication is disabled.": holon-run/uxc#445
    Answer(text="basic authentication is disabled", hint=_NO_PASSWORDS, of_password=True),
    # techcommunity.microsoft.com, "Exchange Online to retire Basic auth for Client Submission"
    Answer(
        protocol="smtp", replies=(550,), enhanced="5.7.30", hint=_NO_PASSWORDS, of_password=True
    ),
    # jstedfast/MailKit#1494, simonrob/email-oauth2-proxy#275, imapsync/imapsync#411
    Answer(
        text="user is authenticated but not connected",
        hint="The token is good, and does not open this mailbox. Check that the user name is the "
        "mailbox's own address and that of the token; that the token's scope is "
        "IMAP.AccessAsUser.All; and, for an application's token, that its service principal may "
        "use the mailbox.",
    ),
    # nicm/fdm#123
    Answer(
        protocol="pop",
        hosts=MICROSOFT,
        text="logon failure",
        hint="Microsoft says so whatever the password is, where it takes none: sign in with a "
        "Token.",
        of_password=True,
    ),
    # mjs/imapclient#602, imapsync/imapsync#317
    Answer(
        protocol="imap",
        hosts=MICROSOFT,
        text="login failed",
        hint="Microsoft says so whatever the password is, where it takes none: sign in with a "
        "Token.",
        of_password=True,
    ),
    # learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth"
    Answer(
        protocol="imap",
        hosts=MICROSOFT,
        text="authenticate failed",
        hint="If this was a token: check that it has not expired, that it is for this mailbox, and "
        "that its scope is https://outlook.office.com/IMAP.AccessAsUser.All.",
    ),
    # jstedfast/MailKit#700
    Answer(
        hosts=MICROSOFT,
        enhanced="5.7.3",
        hint="Check that signing in over SMTP is switched on for this mailbox "
        "(https://aka.ms/smtp_auth_disabled), and that a token's scope is "
        "https://outlook.office.com/SMTP.Send.",
    ),
    Answer(
        hosts=MICROSOFT,
        hint="Microsoft takes passwords hardly anywhere: use a Token.",
        of_password=True,
    ),
)

_GOOGLE_ANSWERS = (
    # PHPMailer/PHPMailer#1708, LukeSmithxyz/mutt-wizard#831
    Answer(text="application-specific password required", hint=_GOOGLE_WANTS, of_password=True),
    # YetiForceCompany/YetiForceCRM#14235, smiley22/S22.Imap#116, barbushin/php-imap#87
    Answer(text="please log in via your web browser", hint=_WEB_LOGIN, of_password=True),
    Answer(text="please log in with your web browser", hint=_WEB_LOGIN, of_password=True),
    Answer(text="web login required", hint=_WEB_LOGIN, of_password=True),
    Answer(hosts=GOOGLE, enhanced="5.7.14", hint=_WEB_LOGIN, of_password=True),
    # support.google.com/mail/answer/7126229
    Answer(
        text="account is not enabled for imap",
        hint="IMAP is switched off in this account's settings (Forwarding and POP/IMAP).",
    ),
    Answer(
        text="account is not enabled for pop",
        hint="POP is switched off in this account's settings (Forwarding and POP/IMAP).",
    ),
    # nodemailer/nodemailer#1388, gophish/gophish#1836
    Answer(
        text="too many login attempts",
        hint="The password may be right: wait, and then send several messages over one connection "
        "instead of signing in for each.",
    ),
    # support.google.com/mail/answer/7126229: fifteen for an account
    Answer(
        text="too many simultaneous connections",
        hint="The password may be right: close other connections to this account, and try again.",
    ),
    # smiley22/S22.Imap#168; dawidd6/action-send-mail#82
    Answer(text="username and password not accepted", hint=_GOOGLE_WANTS, of_password=True),
    Answer(hosts=GOOGLE, hint=_GOOGLE_WANTS, of_password=True),
)

_OTHER_ANSWERS = (
    # nodemailer/nodemailer#1112, PHPMailer/PHPMailer#2034
    Answer(text="(#auth005)", hint=_YAHOO_WANTS, of_password=True),
    # RainLoop/rainloop-webmail#1354
    Answer(text="(#mbr1212)", hint=_YAHOO_WANTS, of_password=True),
    # emersion/go-imap#436, OfflineIMAP/offlineimap#688
    Answer(hosts=YAHOO, hint=_YAHOO_WANTS, of_password=True),
    # d99kris/nmail#187, Foundry376/Mailspring#1544
    Answer(
        hosts=APPLE,
        hint="Apple does not take the account's own password here: create an app-specific password "
        "at https://account.apple.com, and use the full address as the user name.",
        of_password=True,
    ),
    # elementary/settings-onlineaccounts#40; rustmailer/bichon#152
    Answer(
        hosts=FASTMAIL,
        hint="Fastmail does not take the account's own password here: create an app password with "
        "access to mail, and use the full address as the user name.",
        of_password=True,
    ),
    # zoho.com/mail/help/imap-access.html
    Answer(
        text="you are yet to enable imap",
        hint="IMAP is switched off in this account's settings (Mail Accounts, IMAP Access).",
    ),
    # Foundry376/Mailspring#1334, deltachat/deltachat-android#94
    Answer(
        hosts=ZOHO,
        hint="At Zoho, IMAP and POP must be switched on in the settings, two-factor accounts need "
        "an app password, and the server is that of the account's own region.",
        of_password=True,
    ),
    # jens-maus/yam#638: by the mail that GMX sends after such an attempt
    Answer(
        hosts=GMX,
        hint="Is access by POP3 and IMAP switched on in the mailbox's settings on the web? It is "
        "off at first, and goes off when it is not used; with two-factor authentication an app "
        "password is needed.",
        of_password=True,
    ),
    # Foundry376/Mailspring#2111
    Answer(
        text="invalid credentials or imap is disabled",
        hint="Switch IMAP on in the settings (Email clients), and use an app password.",
        of_password=True,
    ),
    # yandex.com/support/mail/mail-clients: for an account without a finished set-up
    Answer(
        hosts=YANDEX,
        text="does not have access rights to this service",
        hint="Switch access by mail programs on in the settings, and use an app password.",
        of_password=True,
    ),
    Answer(
        hosts=YANDEX,
        hint="At Yandex, access by mail programs must be switched on in the settings, and an app "
        "password is needed.",
        of_password=True,
    ),
    # lmanukyan/print-designer#5, thunderbird/thunderbird-android#9069
    Answer(
        text="parol prilozheniya",
        hint="Mail.ru does not take the account's own password here: create one for external "
        "applications in its security settings.",
        of_password=True,
    ),
    # YMFE/yapi#2219, louislam/uptime-kuma#3434
    Answer(
        text="enter your authorization code to login",
        hint="QQ Mail does not take the account's own password here: create an authorization code "
        "in its settings, and use that.",
        of_password=True,
    ),
)

PROVIDERS: tuple[Answer, ...] = (*_MICROSOFT_ANSWERS, *_GOOGLE_ANSWERS, *_OTHER_ANSWERS)
