"""What is known of a download before it is made."""

from aifs_data.downloads import Archive, Download, RemoteFile, remote_files


def test_an_archive_is_counted_once_and_instead_of_its_members():
    """It is what goes over the line."""
    archive = Archive(file=RemoteFile(path="a/all.tar.gz", size=100, sha256=""), prefix="a/")
    members = [RemoteFile(path=f"a/{i}", size=70, sha256="", archive=archive) for i in range(3)]
    alone = RemoteFile(path="a/more", size=5, sha256="")
    assert Download(files=(*members, alone), decode=iter).size == 105


def test_a_file_has_the_name_that_decoders_know_it_by():
    """Its path without the folder."""
    assert RemoteFile(path="planetoid/ind.cora.x", size=1, sha256="").name == "ind.cora.x"


def test_files_side_by_side_are_on_every_server():
    """In a folder of a mirror, and below each URL, in the order of both lists."""
    files = remote_files(
        "a-set",
        urls=("https://one.example/a/", "https://two.example/"),
        facts={"x.gz": (3, "f00d"), "y.gz": (5, "beef")},
    )
    assert list(files) == ["x.gz", "y.gz"]
    assert files["y.gz"] == RemoteFile(
        path="a-set/y.gz", size=5, sha256="beef", urls=("https://one.example/a/y.gz", "https://two.example/y.gz")
    )
