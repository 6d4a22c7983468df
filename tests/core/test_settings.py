"""Settings are typed, and refused where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapeline.errors import Action, SettingError
from tapeline.settings import OPTIONS, PREFIX, Settings, manual

REPOSITORY = Path(__file__).resolve().parents[2]


def test_without_any_there_are_defaults() -> None:
    """No setting is needed, and foreign variables are none of our business."""
    settings = Settings.from_environment({"PATH": "/bin", "TAPE": "x"})
    assert settings.instances == ("PRIMARY",)
    assert settings.redis_url is None
    assert settings.store_url == "data/store"


def test_right_values_become_types() -> None:
    """Every setting comes as the type it is used as."""
    settings = Settings.from_environment(
        {
            "TAPELINE_REDIS_URL": "rediss://user:pass@host:6380/1",
            "TAPELINE_STORE": "s3://bucket/prefix",
            "TAPELINE_INSTANCES": "PRIMARY,REPLICA",
            "TAPELINE_RING_BYTES": "1048576",
            "TAPELINE_FLUSH_SECONDS": "0.25",
            "TAPELINE_DATA_DIR": "/tmp/x",
        }
    )
    assert settings.instances == ("PRIMARY", "REPLICA")
    assert (settings.ring_bytes, settings.flush_seconds, settings.data_dir) == (1048576, 0.25, Path("/tmp/x"))
    assert settings.store_url == "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("name", "value"),
    [("REDIS_URL", "localhost:6379"), ("REDIS_URL", "redis://"), ("REDIS_URL", "redis://h:99999"), ("REDIS_URL", "http://h"),
     ("STORE", "gs://bucket"), ("STORE", "s3://"), ("S3_ENDPOINT", "host:9000"), ("INSTANCES", "primary"), ("INSTANCES", "PRIMARY,PRIMARY"),
     ("RING_BYTES", "1e9"), ("RING_BYTES", "10"), ("RING_BYTES", "-1"), ("LINGER_US", "1ms"), ("LINGER_US", "٣"), ("FLUSH_SECONDS", "0"),
     ("FLUSH_SECONDS", "nan"), ("THRESHOLD_SECONDS", "inf"), ("LOG_LEVEL", "info"), ("PARTITION_MAX_BYTES", " 1048576"),
     ("PUBLISH_BUFFER_BYTES", "9" * 40)],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_what_is_allowed(name: str, value: str) -> None:
    """The error names the setting, the value and what is allowed, and says that trying again is no use."""
    with pytest.raises(SettingError) as caught:
        Settings.from_environment({PREFIX + name: value})
    allowed = next(option.allowed for option in OPTIONS.values() if option.name == name)
    assert all(part in str(caught.value) for part in (PREFIX + name, repr(value), allowed))
    assert caught.value.action is Action.REFUSE


def test_an_unknown_name_is_refused() -> None:
    """A misspelt setting is not passed over."""
    with pytest.raises(SettingError, match=r"TAPELINE_RING_BYTE=.*known: .*TAPELINE_RING_BYTES"):
        Settings.from_environment({"TAPELINE_RING_BYTE": "1"})


def test_the_manual_is_current() -> None:
    """docs/settings.md is what the code says."""
    assert (REPOSITORY / "docs" / "settings.md").read_text() == manual()
