"""Saving and exporting: readers, other writers, full disks, permissions, links, devices."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import convgrad_embedded as cge
from convgrad_embedded import _files


def network(seed=0, units=40):
    return cge.Network((50,), [cge.Dense(units)], "mse", cge.SGD(0.1, momentum=0.5), seed)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def net():
    return network()


# ---- never half written ------------------------------------------------------------------------------------------------


def test_threads_that_save_to_one_path_show_whole_files_alone(tmp_path):
    path, networks, broken, read = tmp_path / "net.cge", [network(seed) for seed in range(3)], [], 0
    wholes = {net.to_bytes() for net in networks}
    networks[0].save(path)
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(lambda net=net: [net.save(path) for _ in range(100)]) for net in networks]
        while not all(writer.done() for writer in writers):
            broken += [data for data in [path.read_bytes()] if data not in wholes]
            read += 1
    assert all(writer.result() for writer in writers)
    assert read > 10 and not broken
    assert names(tmp_path) == ["net.cge"]


def test_threads_that_export_to_one_path_leave_no_trace(tmp_path):
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(lambda seed: network(seed).export(tmp_path, "net"), range(4)))
    assert paths == 4 * [[tmp_path / "net.h", tmp_path / "net.c"]] and names(tmp_path) == ["net.c", "net.h"]


FULL_DISK = """
import resource, sys
import convgrad_embedded as cge
directory, command, limit = sys.argv[1:]
net = cge.Network((50,), [cge.Dense(40)], "mse", cge.SGD(0.1), seed=9)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    net.save(directory + "/net.cge") if command == "save" else net.export(directory, "net")
except OSError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path, net):
    net.save(tmp_path / "net.cge")
    printed = subprocess.check_output([sys.executable, "-c", FULL_DISK, tmp_path, "save", "4096"], text=True)
    assert "File too large" in printed and names(tmp_path) == ["net.cge"]
    assert (tmp_path / "net.cge").read_bytes() == net.to_bytes()


def test_a_full_disk_leaves_both_exported_files(tmp_path, net):
    """There is room for the new header and not for the source: they belong together."""
    paths = net.export(tmp_path, "net")
    before = [path.read_bytes() for path in paths]
    assert len(before[0]) < 4096 < len(before[1])
    printed = subprocess.check_output([sys.executable, "-c", FULL_DISK, tmp_path, "export", "4096"], text=True)
    assert "File too large" in printed and names(tmp_path) == ["net.c", "net.h"]
    assert [path.read_bytes() for path in paths] == before


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    path, networks = tmp_path / "net.cge", [network(seed) for seed in range(2)]
    networks[0].save(path)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            while True:
                networks[1].save(path)
        time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        assert path.read_bytes() in [net.to_bytes() for net in networks]


# ---- permissions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664, 0o755])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_keeps_its_permissions(permissions, umask, tmp_path, net):
    path = tmp_path / "net.cge"
    path.touch()
    path.chmod(permissions)
    before = os.umask(umask)
    try:
        net.save(path)
        network().export(tmp_path, "net")
    finally:
        os.umask(before)
    assert mode(path) == permissions and path.read_bytes() == net.to_bytes()
    assert mode(tmp_path / "net.c") == mode(tmp_path / "net.h") == 0o666 & ~umask


def test_the_new_content_is_never_readable_by_more_people_than_the_old(tmp_path, net, monkeypatch):
    path, seen = tmp_path / "net.cge", []
    path.touch()
    path.chmod(0o600)
    opened = os.open

    def watched(name, *arguments, **keywords):
        descriptor = opened(name, *arguments, **keywords)
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(_files.os, "open", watched)
    net.save(path)
    assert seen[0] == 0o600


AS_NOBODY = """
import os, sys
import convgrad_embedded as cge
from pathlib import Path
directory = Path(sys.argv[1])
net = cge.Network((50,), [cge.Dense(40)])
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
try:
    net.save(directory / "net.cge")
except PermissionError as error:
    print(error.filename)
"""


def test_a_write_protected_file_is_refused(net):
    with tempfile.TemporaryDirectory() as name:  # which, other than tmp_path, everybody can reach
        directory, path = Path(name), Path(name) / "net.cge"
        directory.chmod(0o777)
        path.write_text("old")
        path.chmod(0o444)
        printed = subprocess.check_output([sys.executable, "-c", AS_NOBODY, directory], text=True)
        assert printed == f"{path}\n" and path.read_text() == "old" and names(directory) == ["net.cge"]


# ---- where a path leads --------------------------------------------------------------------------------------------------


def test_a_link_stays_a_link_and_its_file_changes(tmp_path, net):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "target.cge", tmp_path / "net.cge"
    (tmp_path / "second").symlink_to(Path("deep") / "target.cge")
    link.symlink_to("second")
    for again in range(2):  # the first time it leads to nothing yet
        network(again).save(link)
        assert link.is_symlink() and not target.is_symlink() and target.read_bytes() == network(again).to_bytes()
    assert names(tmp_path) == ["deep", "net.cge", "second"] and names(tmp_path / "deep") == ["target.cge"]


def test_a_link_in_the_way_of_the_temporary_file_is_not_followed(tmp_path, net, monkeypatch):
    """Whoever guesses the name of the temporary file must not have the network written to a file of his choice."""
    monkeypatch.setattr(_files.secrets, "token_hex", lambda count: "guessed")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".guessed.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        net.save(tmp_path / "net.cge")
    assert victim.read_text() == "precious" and names(tmp_path) == [".guessed.part", "victim"]


def test_names_of_temporary_files_cannot_be_guessed(tmp_path, net, monkeypatch):
    used = []
    monkeypatch.setattr(_files.os, "replace", lambda partial, target: used.append(partial.name))
    for _ in range(100):
        net.save(tmp_path / "net.cge")
    assert len(set(used)) == 100 and all(len(name) >= 16 for name in used)
    assert names(tmp_path) == []


def test_a_pipe_stays_a_pipe_and_gets_the_network(tmp_path, net):
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    net.save(pipe)
    reader.join(30)
    assert received == [net.to_bytes()] and stat.S_ISFIFO(pipe.stat().st_mode) and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("stdout", ["pipe", "file"])
def test_standard_output_gets_the_network(stdout, tmp_path):
    """Through a link of the kernel's that leads to what may have no name: here a pipe, and a deleted file."""
    script = "import convgrad_embedded as cge; cge.Network((2,), [cge.Dense(1)], seed=3).save('/proc/self/fd/1')"
    expected = cge.Network((2,), [cge.Dense(1)], seed=3).to_bytes()
    if stdout == "pipe":
        assert subprocess.check_output([sys.executable, "-c", script]) == expected
    else:
        with tempfile.TemporaryFile(dir=tmp_path) as file:
            subprocess.check_call([sys.executable, "-c", script], stdout=file)
            file.seek(0)
            assert file.read() == expected and names(tmp_path) == []


def test_a_socket_and_a_directory_are_refused_and_stay(tmp_path, net, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name in ("socket", "directory"):
            with pytest.raises(OSError):
                net.save(name)
    assert names(tmp_path) == ["directory", "socket"] and stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)


def test_the_directory_is_synchronized_after_the_name_has_changed(tmp_path, net, monkeypatch):
    """Without it the new name may be lost in a power failure, which no test can cause."""
    calls = []
    synchronize, replace = os.fsync, os.replace

    def watched(descriptor):
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        synchronize(descriptor)

    monkeypatch.setattr(_files.os, "fsync", watched)
    monkeypatch.setattr(_files.os, "replace", lambda *paths: calls.append("replace") or replace(*paths))
    net.save(tmp_path / "net.cge")
    assert calls == ["file", "replace", "directory"]
