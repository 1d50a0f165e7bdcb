"""Signed checkpoints: the format of C2SP, and what is not accepted."""

import base64

import pytest

from sharpeyes.access.register.note import Checkpoint, NoteError, Signer, Verifier, split
from sharpeyes.domain.errors import InvalidInputError

SEED = bytes(range(32))
ROOT = bytes(range(100, 132))
SIGNER = Signer("city.example/register", SEED)
NOTE = SIGNER.sign(20852163, ROOT)


def test_a_note_reads_as_c2sp_says() -> None:
    assert (
        "city.example/register\n"
        "20852163\n"
        "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=\n"
        "\n"
        f"— city.example/register {NOTE.split()[-1]}\n"
    ) == NOTE
    assert SIGNER.verifier.open(NOTE) == Checkpoint("city.example/register", 20852163, ROOT)


def test_a_published_note_of_another_log_is_understood() -> None:
    """The note and key of the Go checksum database's documentation (sum.golang.org)."""
    verifier = Verifier.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert verifier.vkey == "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def test_a_key_survives_its_text_form() -> None:
    assert Verifier.parse(SIGNER.verifier.vkey) == SIGNER.verifier


@pytest.mark.parametrize(
    ("bent", "says"),
    [
        (NOTE.replace("20852163", "20852164"), "forged or damaged"),
        (NOTE.replace("ZGVm", "ZGVn"), "forged or damaged"),
        (NOTE.replace("city.example", "town.example"), "not signed by this register's key"),
        (Signer("city.example/register", bytes(32)).sign(1, ROOT), "not signed by this register's key"),
        (NOTE.split("—")[0], "not signed"),
        (NOTE.split("\n\n")[0], "no signature"),
        (NOTE.replace("— ", "- "), "no signature"),
        ("", "no signature"),
    ],
)
def test_what_was_not_signed_so_is_refused(bent: str, says: str) -> None:
    with pytest.raises(NoteError, match=says):
        SIGNER.verifier.open(bent)


def test_signatures_of_witnesses_are_passed_over() -> None:
    other = Signer("witness.example", bytes(32)).sign(1, ROOT).split("\n\n")[1]
    assert SIGNER.verifier.open(NOTE + other).size == 20852163


@pytest.mark.parametrize(
    "text",
    [
        "city.example/register\n1\n",
        "city.example/register\n01\nAAAA\n",
        "city.example/register\n-1\nAAAA\n",
        "city.example/register\n\u0661\nAAAA\n",
        "city.example/register\n1\nAAAA\n",
        "city.example/register\n1\n???\n",
        "city.example/register\n" + "9" * 5000 + "\nAAAA\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    signature = base64.b64encode(SIGNER.verifier.key_id + SIGNER._key.sign(text.encode())).decode()
    with pytest.raises(NoteError):
        SIGNER.verifier.open(f"{text}\n— city.example/register {signature}\n")


def test_a_checkpoint_of_another_register_under_the_same_key_is_refused() -> None:
    text = "town\n1\n" + NOTE.split("\n")[2] + "\n"
    signature = base64.b64encode(SIGNER.verifier.key_id + SIGNER._key.sign(text.encode())).decode()
    with pytest.raises(NoteError, match="of another register: 'town'"):
        SIGNER.verifier.open(f"{text}\n— city.example/register {signature}\n")


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u2003b"])
def test_names_that_would_break_the_format_are_refused(origin: str) -> None:
    with pytest.raises(InvalidInputError):
        Signer(origin, SEED)


@pytest.mark.parametrize(
    "vkey", ["", "x", "x+y+z", "city+00000000+AQ==", SIGNER.verifier.vkey.replace("city", "town")]
)
def test_bad_keys_are_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(vkey)


def test_a_file_of_notes_falls_apart_into_notes() -> None:
    notes = [SIGNER.sign(size, ROOT) for size in (1, 2, 3)]
    for between in ("", "\n", "\n\n"):
        assert list(split(between.join(notes))) == notes
    assert list(split("")) == []
    assert len(list(split(notes[0] + "\nrubbish\n"))) == 2


def test_a_signer_does_not_show_its_key() -> None:
    assert SEED.hex() not in repr(SIGNER)
