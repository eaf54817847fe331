"""What no case foresees: inputs that coverage finds, for seconds here, for minutes at length."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
# Tensors that the model answers, all of them.
WHOLE = (
    b'{"name":"size","datatype":"FP32","shape":[1],"data":[1]},'
    b'{"name":"rank","datatype":"INT64","shape":[1],"data":[2]},'
    b'{"name":"wet","datatype":"BOOL","shape":[1],"data":[true]},'
    b'{"name":"colour","datatype":"BYTES","shape":[1],"data":["red"]},'
    b'{"name":"noise","datatype":"FP64","shape":[1],"data":[0.5]}'
)
# Bytes that lead into the formats.
SEEDS = {
    "connection": [
        b"\x30GET /v2 HTTP/1.1\r\nhost: a\r\n\r\n" * 3,
        b"\x05POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n[]",
        b"\x07POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\n[]\r\n0\r\nx: y\r\n\r\n",
        b"\x09HEAD / HTTP/1.0\r\nconnection: keep-alive\r\nexpect: 100-continue\r\n\r\n",
        b"\x10GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    ],
    "message": [
        b'\xfe{"id":"a","inputs":[' + WHOLE + b"]}",
        b'\xfe{"inputs":[' + WHOLE + b"," + WHOLE + b"]}",
        b'\xfe{"inputs":[{"name":"size","datatype":"FP32","shape":[2],"data":[1,2.5]},'
        b'{"name":"colour","datatype":"BYTES","shape":[2,1],"data":[["red"],["x"]]}]}',
        b'\x18{"inputs":[{"name":"size","datatype":"FP32","shape":[1],'
        b'"parameters":{"binary_data_size":4}}]} \0\0\0\0',
        b'\xff[{"size":1,"rank":2,"wet":null,"colour":"red","noise":0.5}]',
    ],
    "log": [bytes(range(256))],
}


@pytest.mark.slow
@pytest.mark.parametrize("target", SEEDS)
@pytest.mark.parametrize("seconds", [4, pytest.param(300, marks=pytest.mark.long)])
def test_no_input_breaks_what_holds_of_all(
    target: str, seconds: int, model: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS[target]):
        (corpus / f"seed{i}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=2048", "-timeout=20", "-rss_limit_mb=4000"]
    command = [sys.executable, str(FUZZ), target, str(model), *options, str(corpus)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds + 120
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None
    assert int(ran[1]) > 100
    covered = [int(each) for each in re.findall(r" cov: (\d+)", done.stderr)]
    assert covered[-1] > covered[0]  # it is the server that is looked into, not the fuzzer
