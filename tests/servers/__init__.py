"""The servers that the tests talk to, all on loopback, and the certificates they show.

`pki`               good, bad and odd certificates, made on demand
`dovecot`           a private Dovecot: IMAP and POP3, and SASL and delivery for Postfix
`dovecot24`         a private Dovecot 2.4, for channel binding; `root-setup` brings it here
`rooted`            Exim, Cyrus and Courier, in a root of their own; `root-setup` brings it here
`exim`              a private Exim: submission with STARTTLS and with TLS from the start
`cyrus_imap`        a private Cyrus: IMAP, POP3, LMTP
`courier`           a private Courier: IMAP, POP3
`postfix`           a private Postfix: submission with STARTTLS and with TLS from the start
`cyrus`             Cyrus SASL inside of it, in the place of Dovecot's
`introspection`     says which OAuth tokens are good, to servers that ask
`passwords`         SCRAM verifiers as servers store them
`sign_ins`          which sign-ins a server has logged
`exchanges`         the client's side of SASL mechanisms, by others
`places`            where one can sign in, as clients of the standard library do
`aiosmtpd_server`   a submission server inside the test process, for where Postfix is not
`socks`             a SOCKS 5 proxy, which looks names up in a table
`ssh`               a private OpenSSH server, and an `ssh` that finds it
`recording`         a server that plays a script, however rude, and keeps every byte it was sent
`scripts`           the scripts for it: polite servers that accept any password, and rude ones
`rude`              more of them: polite up to a point, and then something else
`upgrades`          servers in clear that are asked for TLS, and the ways in which ours ask
`attempts`          an attempt of our classes to sign in, and all that may be seen of it
`clients`           a strict client's context of the standard library
`leaks`             looks for a secret, in any encoding, in what was recorded
"""
