"""The recording server of `securemail.testing.hostile`, by the name that the tests know."""

from securemail.testing.hostile.recording import Conversation as Conversation
from securemail.testing.hostile.recording import Record as Record
from securemail.testing.hostile.recording import RecordingServer as RecordingServer
from securemail.testing.hostile.recording import Script as Script
