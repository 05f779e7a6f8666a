"""What is known of a download before it is made."""

from aifs_data.downloads import Archive, Download, RemoteFile


def test_an_archive_is_counted_once_and_instead_of_its_members():
    """It is what goes over the line."""
    archive = Archive(file=RemoteFile(path="a/all.tar.gz", size=100, sha256=""), prefix="a/")
    members = [RemoteFile(path=f"a/{i}", size=70, sha256="", archive=archive) for i in range(3)]
    alone = RemoteFile(path="a/more", size=5, sha256="")
    assert Download(files=(*members, alone), decode=iter).size == 105


def test_a_file_has_the_name_that_decoders_know_it_by():
    """Its path without the folder."""
    assert RemoteFile(path="planetoid/ind.cora.x", size=1, sha256="").name == "ind.cora.x"
