"""cvae serve: a line that says where, a quiet end, and one line for what cannot be."""

import http.client
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CVAE = Path(sys.executable).with_name("cvae")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_quietly_though_a_connection_is_open(mnist, number):
    command = [CVAE, "serve", "--port", "0", "--artifact", mnist]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.fullmatch(
        r"mnist at http://127\.0\.0\.1:(\d+)/  \(a preview; Ctrl-C ends it\)\n", process.stdout.readline()
    )
    assert found
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
    connection.request("GET", "/")
    assert b"<title>" in connection.getresponse().read()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    connection.close()
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--host", "::"], "cvae: --host :: lets other machines in, without password and encryption: "),
        (["--port", "65536"], "cvae: --port must be from 0 to 65535, got 65536"),
        (["--port", "http"], "cvae serve: argument --port: invalid int value: 'http'"),
        (["--port", "0", "--artifact", "nothing"], "cvae: no artifact at nothing: no such folder"),
    ],
)
def test_a_mistake_exits_2_with_one_line(arguments, line):
    done = subprocess.run([CVAE, "serve", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_a_line(port):
    done = subprocess.run([CVAE, "serve", "--port", str(port)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"cvae: cannot listen at 127.0.0.1, port {port}: Address already in use\n"


def test_help_points_to_what_serves_in_production():
    done = subprocess.run([CVAE, "serve", "--help"], capture_output=True, text=True, check=True, timeout=60)
    text = " ".join(done.stdout.split())
    assert "A preview" in text
    assert "TF Serving" in text
    assert "Triton" in text
