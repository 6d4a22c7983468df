"""Units on a Spark of several executors: the same bytes, whatever becomes of an executor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from postprocess.executor import open_executor
from postprocess.units import Report
from tapeline.errors import TapelineError
from tapeline.offline.lake import Lake
from tapeline.settings import Settings
from tests.postprocess.raw_store import fill
from tests.postprocess.running import make
from tests.postprocess.spark_home import environment

pytestmark = pytest.mark.timeout(420)

DAY = date(2021, 4, 5)
PROVIDERS = {"binance_usdm": "five_symbols_20210405", "bitfinex": "20210405", "deribit": "20210405"}
REPOSITORY = Path(__file__).resolve().parents[2]
TAPELINE = [sys.executable, "-m", "tapeline.cli.main"]
_WAIT_SECONDS = 300.0


def test_spark_gives_the_same_bytes_and_an_executor_may_die(tmp_path: Path, recordings: Path) -> None:
    """An executor is killed in the middle of a unit: the day is published whole, as this process alone makes it."""
    for venue, capture in PROVIDERS.items():
        for instance, later in (("PRIMARY", 0), ("REPLICA", 2_000_000)):
            path = recordings / venue / f"{capture}.jsonl.zst"
            fill(tmp_path / "store", venue, path, instance, later=later, limit=2000)
    make(DAY, tmp_path / "store", tmp_path / "alone")
    log = tmp_path / "spark.log"
    driver = subprocess.Popen(
        [*TAPELINE, "postprocess", str(DAY), "--data-dir", str(tmp_path), "--executor", "spark"],
        env=environment(tmp_path, "local-cluster[2,1,1024]"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=REPOSITORY, start_new_session=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + _WAIT_SECONDS
        while not (busy := busy_executors(driver.pid)):
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end
            time.sleep(0.005)
        os.kill(busy[0], signal.SIGKILL)
        _, err = driver.communicate(timeout=_WAIT_SECONDS)
    except BaseException:
        os.killpg(driver.pid, signal.SIGKILL)
        raise
    assert driver.returncode == 0, (err, log.read_text())
    assert "Lost executor" in log.read_text()
    lines = [line for line in err.splitlines() if "payloads in" in line]
    assert sorted(line.split()[1] for line in lines) == sorted(venue.upper() for venue in PROVIDERS)
    alone, spark = Lake.at(tmp_path / "alone").current(), Lake.at(tmp_path / "lake").current()
    assert alone == spark
    assert {manifest.provider for manifest in spark} == {venue.upper() for venue in PROVIDERS}
    for file in (file for manifest in spark for file in manifest.files()):
        assert (tmp_path / "lake" / file.key).read_bytes() == (tmp_path / "alone" / file.key).read_bytes()


def test_what_fails_is_tried_again_and_then_named(tmp_path: Path) -> None:
    """A unit that fails for good is one failed report, with its reason, and so is one that kills its executor."""
    attempts = tmp_path / "attempts"
    attempts.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.postprocess.spark_units", str(attempts)],
        env={
            **environment(tmp_path, "local-cluster[2,1,1024]", "spark.task.maxFailures=2"),
            "TAPELINE_DATA_DIR": str(tmp_path),
        },
        capture_output=True, text=True, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reports = {
        report.unit.provider: report for line in done.stdout.splitlines() for report in [Report.decode(line.encode())]
    }
    assert {provider for provider, report in reports.items() if report.failed} == {"NEVER", "REFUSED", "KILLER"}
    assert reports["NEVER"].problems[0].reason == "ValueError: it is never done"
    assert reports["REFUSED"].problems[0].reason == "no permission"
    assert reports["KILLER"].problems[0].key == "2026-08-02 KILLER version 1"
    assert "ExecutorLostFailure" in reports["KILLER"].problems[0].reason
    tried = Counter(path.name.partition("-")[0] for path in attempts.iterdir())
    assert tried["NEVER"] >= 2
    assert tried["REFUSED"] >= 2
    assert tried["KILLER"] == 2
    assert reports["LATER"].counts == {"payloads": 1}


def test_spark_submit_says_which_spark_it_is(tmp_path: Path, recordings: Path) -> None:
    """Without a master in the settings it is spark-submit's, as on EMR."""
    fill(tmp_path / "store", "deribit", recordings / "deribit" / "20210405.jsonl.zst", limit=10)
    (tmp_path / "run.py").write_text("import sys\nfrom tapeline.cli.main import main\nsys.exit(main())\n")
    around = environment(tmp_path, "")
    done = subprocess.run(
        [f"{around['SPARK_HOME']}/bin/spark-submit", "--master", "local[1]", "--conf", "spark.ui.enabled=false",
         tmp_path / "run.py", "postprocess", str(DAY), "--data-dir", tmp_path, "--executor", "spark"],
        env={**around, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Running Spark version 3.5" in done.stderr
    assert Lake.at(tmp_path / "lake").published(DAY) == {"DERIBIT": 1}
    assert not (tmp_path / "spark.log").exists()


def test_a_java_that_is_not_there_is_told_in_a_line(tmp_path: Path, recordings: Path) -> None:
    """With what it needs, and where its log is."""
    fill(tmp_path / "store", "deribit", recordings / "deribit" / "20210405.jsonl.zst", limit=10)
    done = subprocess.run(
        [*TAPELINE, "backfill", "--from", str(DAY), "--to", str(DAY), "--data-dir", str(tmp_path), "--executor", "spark"],
        env={**environment(tmp_path, "local[1]"), "JAVA_HOME": str(tmp_path / "none")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("tapeline: Spark does not start: ")
    assert line.endswith(f"it needs a Java, 8 to 17, and its log is {tmp_path / 'spark.log'}")


def test_a_missing_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyspark nothing else breaks."""
    monkeypatch.setattr("postprocess.executor.spark.find_spec", lambda _: None)
    settings = Settings.from_environment({})
    with pytest.raises(TapelineError, match=r"pip install 'tapeline\[spark\]', and a Java, 8 to 17"):
        open_executor("spark", settings)


@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,1024]", "yarn", "spark://host:7077", "local"])
def test_a_master_is_what_spark_knows(master: str) -> None:
    """Other words are refused where settings are read."""
    assert Settings.from_environment({"TAPELINE_SPARK_MASTER": master}).spark_master == master
    with pytest.raises(TapelineError, match="TAPELINE_SPARK_MASTER"):
        Settings.from_environment({"TAPELINE_SPARK_MASTER": master + " 1"})


def busy_executors(session: int) -> list[int]:
    """Executors of a session whose Python workers are at a unit."""
    parents, executors = {}, []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            parents[int(folder.name)] = int(fields[1])
            if b"CoarseGrainedExecutorBackend" in words:
                executors.append(int(folder.name))
    # An executor's daemon is its child, a worker the daemon's.
    grandparents = {parents.get(parent) for parent in parents.values()}
    return [process for process in executors if process in grandparents]
