"""The file of access keys: what is read, and one line for everything that is wrong with it."""

from __future__ import annotations

import pytest

from lsm.errors import InvalidArgumentError
from lsm.server.credentials import AccessKey, Credentials, read_credentials

ONE = "[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n"
SETTINGS = "aws_access_key_id, aws_secret_access_key, aws_session_token"


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "keys"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return path

    return write


def test_keys_are_read_by_id(written):
    text = ONE + "\n[other]\naws_access_key_id=ASID\naws_secret_access_key=a/b+c==\naws_session_token=to:ken=\n"
    credentials = read_credentials(written(text))
    assert credentials.keys == {"AKID": AccessKey("secret"), "ASID": AccessKey("a/b+c==", "to:ken=")}
    assert credentials.warning is None


@pytest.mark.parametrize(
    "content",
    [
        ONE.replace("\n", "\r\n"),
        "\ufeff" + ONE,
        "# comment\n; comment\n\n" + ONE.replace("\n", "\n\n"),
        ONE.replace("aws_access_key_id", "AWS_Access_Key_Id"),
        ONE.replace(" = ", ": "),
        ONE.replace("\naws", "\n\t aws"),
        ONE.replace("[default]", "[ любое имя ]"),
        ONE.rstrip("\n"),
    ],
)
def test_the_form_may_vary(written, content):
    assert read_credentials(written(content)).keys == {"AKID": AccessKey("secret")}


def test_values_are_taken_whole(written):
    content = ONE.replace("secret\n", "se cret # not a comment ; nor this\n")
    assert read_credentials(written(content)).keys["AKID"].secret == "se cret # not a comment ; nor this"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("aws_access_key_id = A\n", 1, "a section `[name]` must come first"),
        ("[default\n", 1, "a section is written `[name]`"),
        ("[]\n", 1, "a section is written `[name]`"),
        ("[\n", 1, "a section is written `[name]`"),
        ("\n[a]\nnonsense\n", 3, f"expected `name = value`, with one of {SETTINGS}"),
        ("[a]\nregion = x\n", 2, f"unknown setting; the settings are {SETTINGS}"),
        ("[a]\n= x\n", 2, f"unknown setting; the settings are {SETTINGS}"),
        (ONE + "aws_secret_access_key = x\n", 4, "aws_secret_access_key was set before in [default]"),
        ("[a]\naws_secret_access_key =\n", 2, "aws_secret_access_key has no value"),
        (
            "[a]\naws_access_key_id = A B\n",
            2,
            "aws_access_key_id may hold ASCII characters other than blanks, `,`, `/` and `=`",
        ),
        (
            "[a]\naws_access_key_id = ключ\n",
            2,
            "aws_access_key_id may hold ASCII characters other than blanks, `,`, `/` and `=`",
        ),
        (ONE + ONE, 4, "section [default] was there before"),
        (ONE + "[x]\n", 4, "section [x] has no aws_access_key_id"),
        ("[x]\naws_access_key_id=A\n" + ONE, 1, "section [x] has no aws_secret_access_key"),
        (ONE + ONE.replace("default", "x"), 4, "section [x] has the aws_access_key_id of another section"),
        (b"[a]\n\xff\n", 2, "not text in UTF-8"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(written, content, line, message):
    path = written(content)
    with pytest.raises(InvalidArgumentError) as told:
        read_credentials(path)
    assert str(told.value) == f"{path}:{line}: {message}"


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n"])
def test_an_empty_file_is_refused(written, content):
    path = written(content)
    with pytest.raises(InvalidArgumentError) as told:
        read_credentials(path)
    assert str(told.value) == (
        f"{path}: holds no access keys; write a section `[name]` with aws_access_key_id and aws_secret_access_key"
    )


def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path):
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidArgumentError) as told:
            read_credentials(path)
        assert str(told.value) == f"{path}: cannot be read: {reason}"


@pytest.mark.parametrize("content", ["[a]\nsecret-in-the-wrong-place\n", "[a]\nkey secret-in-the-wrong-place = x\n"])
def test_errors_repeat_no_text_that_may_be_a_secret(written, content):
    with pytest.raises(InvalidArgumentError) as told:
        read_credentials(written(content))
    assert "secret-in-the-wrong-place" not in str(told.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_open_to_others_is_warned_of(written, mode):
    path = written(ONE)
    path.chmod(mode)
    expected = f"{path} holds secrets and can be read by others (mode {mode:04o}); `chmod 600` it"
    assert read_credentials(path).warning == expected


def test_a_signing_key_of_an_unknown_access_key_is_none():
    with pytest.raises(KeyError):
        Credentials({}).signing_key("AKID", "20231114", "us-east-1", "dynamodb")
