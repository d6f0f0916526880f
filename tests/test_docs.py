"""Every code block of README.md and docs/ runs, and does what the document says."""

from pathlib import Path

import pytest

from docs_cases import DECLINES, cases_of, speaks_of
from docs_certificates import CASES
from docs_examples import (
    EXECUTED,
    ROOT,
    Block,
    blocks,
    documents,
    parse,
    run_commands,
    unknown_kinds,
)
from docs_oauth import TOKEN
from docs_tunnels import ways_there
from docs_world import PASSWORD, USER, documents_world
from securemail import PlaintextWarning

every_document = pytest.mark.parametrize(
    "path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix()
)


@every_document
def test_the_code_blocks_run(path: Path, tmp_path: Path) -> None:
    """One test for one document: its examples share a namespace and build on each other."""
    run_document(path, tmp_path)


def run_document(path: Path, folder: Path) -> None:
    with documents_world(folder) as world, ways_there(path, world), cases_of(path, world):
        document = parse(path, world.environment)
        document.namespace.update(
            user=USER,
            password=PASSWORD,
            access_token=TOKEN,
            client_id="the-programs-own",
            client_secret="not so secret",
        )
        for example in document.examples():
            example.evaluate()


@every_document
def test_no_code_block_is_overlooked(path: Path) -> None:
    assert unknown_kinds(path.read_text(encoding="utf-8")) == []
    assert overlooked(path) == []


def overlooked(path: Path) -> list[Block]:
    """The code blocks that a Markdown parser sees, and sybil does not."""
    found = {example.line for example in parse(path, {}).examples()}
    return [
        block
        for block in blocks(path.read_text(encoding="utf-8"))
        # Sybil counts a block of `>>>` examples from its first line, another from its fence.
        if block.kind in EXECUTED and not {block.line, block.line + 1} & found
    ]


@pytest.mark.parametrize("host", [*CASES, *DECLINES])
def test_every_server_is_there_for_a_document(host: str) -> None:
    assert any(speaks_of(page.read_text(encoding="utf-8"), host) for page in documents())


# --- the runner itself: each kind of block can fail, and its control does not ---------------

FAILING = {
    "python": ("```python\nassert 1 == 2, 'wrong'\n```\n", "wrong"),
    "python, second block": (
        "```python\nx = 1\n```\ntext\n```python\nassert x == 2, 'not two'\n```\n",
        "not two",
    ),
    "python, what is printed": ("```python\n>>> 1 + 1\n3\n```\n", "Expected:\n    3"),
    "python, a file": (
        "```python\n# one.py\nassert 1 == 2\n```\n```console\n$ python one.py\n```\n",
        "exit status 1",
    ),
    "python, a file for nothing": ("```python\n# one.py\nx = 1\n```\n", "nothing that follows"),
    "console, output": ("```console\n$ echo one\ntwo\n```\n", "expected:\ntwo"),
    "console, status": ("```console\n$ false\n```\n", "exit status 1"),
    "console, unknown": ("```console\n$ no-such-command\n```\n", "exit status 127"),
    "console, no command": ("```console\necho one\n```\n", "before the first command"),
    "console, empty": ("```console\n\n```\n", "nothing would be run"),
    "console, ends early": ("```console\n$ exit 0\n$ echo never\n```\n", "the shell ended"),
    "sh": ("```sh\n$ echo one\ntwo\n```\n", "expected:\ntwo"),
    "script": ("```sh\n$ scripts/no-such\n```\n", "not a command of this repository"),
    "toml": ("```toml\na = \n```\n", "Invalid value"),
    "toml, policy": ('```toml\n[servers."a"]\npin_s = "x"\n```\n', "there is no such key"),
    "in a list": ("- item\n\n  ```python\n  assert False, 'list'\n  ```\n", "list"),
    "in a note": ("````{note}\n```python\nassert False, 'note'\n```\n````\n", "note"),
    "beyond loopback": (
        "```python\nimport socket\nsocket.create_connection(('example.net', 993))\n```\n",
        "no server for example.net",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_wrong_code_block_fails(name: str, tmp_path: Path) -> None:
    text, expected = FAILING[name]
    document = tmp_path / "document.md"
    document.write_text(text)

    with pytest.raises((AssertionError, OSError, ValueError)) as caught:
        run_document(document, tmp_path)

    assert expected in str(caught.value)


PASSING = """
```python
x = 1
assert (user, bool(password)) == ("alice", True)
```

```python
assert x == 1
from pathlib import Path
files = {"corp.pem", "server.pem", "me.pem", "me.key", "token.json"}
assert {path.name for path in Path().iterdir()} == files
```

```python
>>> x + 1
2
```

```console
$ echo one; echo two; echo three
one
...
three
$ name=value
$ echo $name \\
> again
value again
$ false
$ echo $?
1
```

```python
# hello.py
print("hello")
```

```console
$ python hello.py
hello
```

```toml
[policy]
trust = "corp.pem"
```

```text
not ) run
```
"""


def test_a_right_document_runs(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(PASSING)

    run_document(document, tmp_path)

    assert unknown_kinds(PASSING) == []
    assert [block.kind for block in blocks(PASSING) if block.kind in EXECUTED] == [
        *("python", "python", "python", "console", "python", "console", "toml")
    ]
    assert overlooked(document) == []


def test_a_block_that_sybil_does_not_see_is_named(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("text\n\n```python title\nassert 1 == 2\n```\n")  # words after the kind

    assert [(block.line, block.kind) for block in overlooked(document)] == [(3, "python")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```ruby\n1\n```\n", ["line 1: ruby"]),
        ("text\n\n```\n1\n```\n", ["line 3: no kind"]),
        ("text\n\n    indented\n", ["line 3: indented"]),
        ("```{code-block} python\n1\n```\n", ["line 1: {code-block}"]),
        ("````{note}\ntext\n```ruby\n1\n```\n````\n", ["line 3: ruby"]),
        ("```{eval-rst}\n.. code-block:: python\n```\n", ["line 1: code inside {eval-rst}"]),
        ("```{toctree}\none\n```\n", []),
    ],
)
def test_a_kind_that_would_not_run_is_named(text: str, expected: list[str]) -> None:
    assert unknown_kinds(text) == expected


def test_programs_live_in_the_same_world(tmp_path: Path) -> None:
    ask = "import socket; print(socket.getaddrinfo('imap.example.org', 993)[0][4])"
    with documents_world(tmp_path) as world:
        world.environment["SECUREMAIL_TEST_REDIRECT"] = '{"993": 10993}'

        block = f"$ python -c \"{ask}\"\n('127.0.0.1', 10993)\n"
        assert run_commands(block, world.environment) is None

        elsewhere = block.replace("imap.example.org", "imap.example.net")
        problem = run_commands(elsewhere, world.environment)
        assert problem is not None
        assert "no server for imap.example.net, port 993" in problem


def test_documents_and_their_programs_reach_the_servers(tmp_path: Path) -> None:
    """By the name that the document says, over TLS that is verified for that name."""
    document = tmp_path / "document.md"
    document.write_text(REACHING)

    run_document(document, tmp_path)


REACHING = """
```python
import imaplib, ssl
with imaplib.IMAP4_SSL("imap.example.org", ssl_context=ssl.create_default_context()) as imap:
    imap.login(user, password)
```

```console
$ cat > hello.py << END
> import poplib, ssl
> pop = poplib.POP3_SSL("pop3.example.com", context=ssl.create_default_context())
> print(pop.getwelcome().decode())
> print(pop.sock.server_hostname)
> pop.quit()
> END
$ python hello.py
+OK ...
pop3.example.com
```
"""


def test_documents_reach_every_kind_of_server(tmp_path: Path) -> None:
    """The ports with STARTTLS, and the relay without."""
    document = tmp_path / "document.md"
    document.write_text(REACHING_WITH_STARTTLS)

    run_document(document, tmp_path)


REACHING_WITH_STARTTLS = """
```python
import imaplib, poplib, smtplib, ssl
verified = ssl.create_default_context()

with smtplib.SMTP("smtp.example.org", 587, local_hostname="me") as smtp:
    smtp.starttls(context=verified)
    smtp.login(user, password)
    smtp.sendmail("a@example.org", "b@example.org", "Subject: one")

with smtplib.SMTP("mail.example.com", 25, local_hostname="me") as smtp:
    smtp.sendmail("a@example.org", "b@example.org", "Subject: two")

with imaplib.IMAP4("imap.example.org", 143) as imap:
    imap.starttls(verified)
    imap.login(user, password)
    assert imap.select() == ("OK", [b"2"])

pop3 = poplib.POP3("pop3.example.org", 110)
pop3.stls(verified)
pop3.user(user)
pop3.pass_(password)
assert pop3.retr(2)[1] == [b"Subject: two"]
pop3.quit()

smtp = smtplib.SMTP("mail.internal.example.org", 587, local_hostname="me")
try:
    smtp.starttls(context=verified)
    assert False, "a self-signed certificate"
except ssl.SSLCertVerificationError:
    smtp.close()
```
"""


def test_their_names_are_not_this_computer(tmp_path: Path) -> None:
    """Else the guard would let pass what it refuses the reader."""
    document = tmp_path / "document.md"
    document.write_text(IN_CLEAR)

    with pytest.warns(PlaintextWarning, match="localhost:25"):
        run_document(document, tmp_path)


IN_CLEAR = """
```python
from securemail import PolicyError, SMTP

with SMTP("localhost") as smtp:
    smtp.sendmail("a@example.org", "b@example.org", "Subject: one")

with SMTP("relay.example.org") as smtp:
    try:
        smtp.sendmail("a@example.org", "b@example.org", "Subject: two")
        assert False, "another computer"
    except PolicyError as error:
        assert error.code == "content-in-clear"
```
"""
