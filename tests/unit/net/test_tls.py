"""What is read from files and typed by people; what becomes of it is seen where connections are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from certificates import certificate
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.net.tls import MAX_BYTES, TlsPolicy, read_authorities, read_fingerprint


def test_certificates_are_taken_and_keys_are_left(tmp_path: Path) -> None:
    first, second = certificate(tmp_path), certificate(tmp_path, "city")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes("城市 CA\n".encode() + first.file.read_bytes() + second.file.read_bytes())
    text = read_authorities(bundle)
    assert text.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE KEY" not in text
    assert "BEGIN" not in repr(TlsPolicy(authorities=text)), "a policy is printed in one line"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no certificate"),
        (b"\x00\xff" * 500, "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\n城\n-----END CERTIFICATE-----\n".encode(), "holds no certificate"),
        (b" " * (MAX_BYTES + 1), "is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_of_no_use(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=told) as caught:
        read_authorities(file)
    assert "PEM" in caught.value.mend
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_authorities(tmp_path)


def test_fingerprints_as_people_write_them() -> None:
    plain = "0123456789abcdef" * 4
    colons = ":".join(plain[at : at + 2] for at in range(0, 64, 2)).upper()
    assert read_fingerprint(plain) == read_fingerprint(colons) == read_fingerprint(f" {colons}\n") == plain
    for wrong in ("", "00", plain[:-1], plain + "0", "g" * 64, "sha1:" + plain):
        with pytest.raises(InvalidInputError, match="is not the SHA-256"):
            read_fingerprint(wrong)
