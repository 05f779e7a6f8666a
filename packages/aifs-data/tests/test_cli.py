"""The command ``aifs-data``, as a person at a terminal meets it."""

import hashlib
import os
import subprocess
import sys

import pytest

from aifs_data import load_dataset, sources
from aifs_data.cli import main

LINES = b"3\n1\n4\n1\n5\n9\n2\n6\n5\n3\n"

MODULE = """
from dataclasses import replace
import numpy as np
from aifs_data.dataset import ArraySpec, Dataset, Source, Split
from aifs_data.downloads import Download, RemoteFile
from aifs_data.sources.moons import INFO as MOONS

X, y = (ArraySpec(dtype="float64", shape=shape) for shape in (("n_samples", 1), ("n_samples",)))
INFO = replace(MOONS, name="toy", title="Ten numbers", task="regression", class_names=(), arrays={{'X': X, 'y': y}})

def decode(files):
    yield "X", np.loadtxt(files["numbers.txt"])[:, np.newaxis]

def load(arrays, seed):
    X = arrays["X"]
    return Dataset(INFO, *(Split(X[i:j], X[i:j, 0]) for i, j in ((0, 6), (6, 8), (8, 10))), source="")

def standin(seed):
    return replace(load({{"X": np.zeros((10, 1))}}, seed), source="standin", standin="ten zeros")

FILE = RemoteFile(path="toy/numbers.txt", size={size}, sha256="{sha256}")
SETS = {{"toy": Source(INFO, load, standin=standin, download=Download(decode=decode, files=(FILE,)))}}
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A set "toy" that only a mirror has, and an empty cache."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "toy.py").write_text(MODULE.format(size=len(LINES), sha256=hashlib.sha256(LINES).hexdigest()))
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(folder)])
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "numbers.txt").write_bytes(LINES)
    monkeypatch.setenv("AIFS_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    monkeypatch.setenv("AIFS_DATA_DIR", str(tmp_path / "cache"))
    yield tmp_path
    sys.modules.pop("aifs_data.sources.toy", None)


def test_list_says_what_there_is_and_what_is_here(toy, capsys):
    """One line each."""
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("toy ")).split()[:5] == [
        "toy",
        "regression",
        "0.0",
        "MB",
        "absent",
    ]
    assert "always here" in next(line for line in lines if line.startswith("moons "))
    main(["fetch", "toy"])
    capsys.readouterr()
    main(["list"])
    assert "ready" in next(line for line in capsys.readouterr().out.splitlines() if line.startswith("toy "))


def test_info_shows_the_card(toy, capsys):
    """Of each set that is named."""
    assert main(["info", "toy", "moons"]) == 0
    out = capsys.readouterr().out
    assert "toy: Ten numbers" in out
    assert "moons: Two interleaved half circles" in out
    assert "@article" in out


def test_fetch_makes_loading_need_no_network(toy, capsys, monkeypatch):
    """And shows the licence."""
    assert main(["fetch", "toy"]) == 0
    assert capsys.readouterr().out == "toy: ready, 0.0 MB decoded (mirror); licence: generated, free to use\n"
    monkeypatch.delenv("AIFS_DATA_MIRROR")
    monkeypatch.setenv("AIFS_OFFLINE", "1")
    assert load_dataset("toy").source == "cache"


def test_what_cannot_be_had_is_an_error_and_the_others_are_fetched(toy, capsys, monkeypatch):
    """With the set's name before it."""
    (toy / "mirror" / "toy" / "numbers.txt").unlink()
    assert main(["fetch", "toy", "moons"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: toy: ")
    assert "moons: generated" in captured.out


def test_an_unknown_name_gets_a_suggestion(toy, capsys):
    """As in Python."""
    assert main(["info", "toi"]) == 1
    assert "unknown data set 'toi': did you mean 'toy'?" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["files/toy/numbers.txt", "decoded/toy/*/X.npy"])
def test_verify_finds_damage_and_loading_mends_it(toy, capsys, damaged):
    """Whichever file it is."""
    assert main(["verify"]) == 0
    load_dataset("toy")
    assert main(["verify"]) == 0
    assert "toy: whole, 1 of 1 files, decoded\n" in capsys.readouterr().out
    [path] = (toy / "cache").glob(damaged)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert main(["verify"]) == 1
    assert "is damaged: " in capsys.readouterr().out
    assert load_dataset("toy").train.y.tolist() == [3, 1, 4, 1, 5, 9]
    assert main(["verify", "toy"]) == 0


def test_a_mirror_serves_what_it_was_made_from(toy, capsys, monkeypatch):
    """It is checked by the tools that every system has, too."""
    assert main(["mirror", str(toy / "usb"), "toy"]) == 0
    assert "AIFS_DATA_MIRROR" in capsys.readouterr().out
    sums = (toy / "usb" / "SHA256SUMS").read_text()
    assert sums == f"{hashlib.sha256(LINES).hexdigest()}  toy/numbers.txt\n"
    monkeypatch.setenv("AIFS_DATA_MIRROR", (toy / "usb").as_uri())
    assert main(["clean", "--all"]) == 0
    assert load_dataset("toy").source == "mirror"


def test_clean_removes_what_is_asked_for_and_no_more(toy, capsys):
    """Nothing that a load would use, unless it is named."""
    load_dataset("toy")
    assert main(["clean"]) == 0
    assert load_dataset("toy").source == "cache"
    assert main(["clean", "toy", "--all"]) == 2
    with pytest.raises(SystemExit):
        main(["clean", "--al"])
    assert load_dataset("toy").source == "cache"
    assert main(["clean", "toy"]) == 0
    assert "MB freed in" in capsys.readouterr().out
    assert load_dataset("toy").source == "mirror"


def test_where_prints_the_folder_alone(toy, capsys):
    """A script can use it."""
    assert main(["where"]) == 0
    assert capsys.readouterr().out == f"{toy / 'cache'}\n"


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["fetch"], ["mirror"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    """As everywhere."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_help_answers_without_numpy():
    """At once."""
    code = "import sys; from aifs_data.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("False")
    assert "AIFS_DATA_MIRROR" in done.stdout


def test_a_stand_in_is_announced_recorded_and_seen(toy, caplog, monkeypatch):
    """Never silent."""
    monkeypatch.setenv("AIFS_OFFLINE", "1")
    (toy / "mirror" / "toy" / "numbers.txt").unlink()
    dataset = load_dataset("toy")
    assert "toy cannot be had (no such file): a STAND-IN comes instead, ten zeros; results on it are no" in caplog.text
    assert (dataset.source, dataset.is_standin, dataset.provenance["standin"]) == ("standin", True, "ten zeros")
    assert "STAND-IN: ten zeros" in repr(dataset)


def test_damage_that_cannot_be_removed_is_reported_all_the_same(toy, capsys, monkeypatch):
    """And what else there is is checked."""
    load_dataset("toy")
    (toy / "cache" / "files" / "toy" / "numbers.txt").write_bytes(b"?")

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "numbers.txt")

    monkeypatch.setattr("aifs_data.stock.remove", refuse)
    assert main(["verify", "toy"]) == 1
    captured = capsys.readouterr()
    assert "numbers.txt is damaged: has 1 bytes instead of 20" in captured.out
    assert captured.err == "error: toy: what is damaged cannot be removed: Permission denied (numbers.txt)\n"


def test_a_console_that_lacks_a_sign_shows_another(toy):
    """The table of sets has ×."""
    command = [sys.executable, "-m", "aifs_data.cli", "list"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert "8 ? 8" in subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_a_home_that_cannot_be_found_is_one_line(toy, capsys, monkeypatch):
    """With the remedy."""
    monkeypatch.setenv("AIFS_DATA_DIR", "~nobody-of-this-name/data")
    assert main(["where"]) == 1
    assert "set AIFS_DATA_DIR to one, got '~nobody-of-this-name/data'" in capsys.readouterr().err
