"""A record of the dialogue that can be shown to anybody: `transcript=` of every class.

Never in it, whatever a server makes of it (`redact`, by value, in every line of either side):
passwords and tokens; what a mechanism sends, is asked and derives, so that nothing can be guessed
from; and what a caller spells himself in a sign-in. The user's name is `<user>`, and what stands
before the "@" of any mail address is `<someone>`.

By structure, as a number of octets alone: mail (literals, DATA, RETR, TOP, whatever FETCH tells);
mailboxes other than INBOX, what is searched for, quoted strings; commands and responses that are
not known here; and the rest of a line after 2,000 octets.

Shown: names and addresses of computers, TLS and the certificate's subject, commands, status
replies with the server's words, capabilities, numbers and sizes of messages, flags, and the errors
of ours.

Not hidden, since nobody could tell it from other words: a secret that was never given to this
connection, and one that the server repeats before it was given (it may know it from another one).
A password that is an ordinary word ("imap") leaves a gap where the word would stand.
"""

from __future__ import annotations

from .line import TranscriptLine as TranscriptLine
from .reader import TranscribingReader as TranscribingReader
from .record import Transcript as Transcript
from .sinks import To as To
