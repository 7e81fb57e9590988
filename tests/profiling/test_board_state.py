"""Clock, temperature and throttling, from files like those of real boards."""

from __future__ import annotations

from pathlib import Path

from premodel.profiling.board_state import BoardState, State, throttled_between


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_a_laptop_shows_clocks_temperatures_and_counted_throttling(tmp_path: Path) -> None:
    cpu = "devices/system/cpu"
    write(
        tmp_path,
        {
            f"{cpu}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
            f"{cpu}/cpu1/cpufreq/scaling_cur_freq": "2200000\n",
            f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "3\n",
            f"{cpu}/cpu1/thermal_throttle/core_throttle_count": "4\n",
            "class/thermal/thermal_zone0/temp": "61000\n",
            "class/thermal/thermal_zone1/temp": "-273200\n",
            "class/hwmon/hwmon0/temp1_input": "72500\n",
            "class/thermal/cooling_device0/type": "Processor\n",
            "class/thermal/cooling_device0/cur_state": "0\n",
            "class/thermal/cooling_device1/type": "Fan\n",
            "class/thermal/cooling_device1/cur_state": "5\n",
        },
    )
    board = BoardState(tmp_path, tmp_path)
    before = board.read()
    assert before == State(mhz=2000.0, celsius=72.5, events=7, held_back=False)
    write(tmp_path, {f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "9\n"})
    assert throttled_between(before, board.read()) == 6.0
    write(tmp_path, {"class/thermal/cooling_device0/cur_state": "2\n"})
    assert board.read().held_back is True


def test_a_raspberry_pi_states_whether_it_is_throttled_now(tmp_path: Path) -> None:
    file = "devices/platform/soc/soc:firmware/get_throttled"
    write(tmp_path, {file: "50000\n"})  # it was, since the start
    board = BoardState(tmp_path, tmp_path)
    assert board.read().held_back is False
    write(tmp_path, {file: "50005\n"})
    assert board.read().held_back is True


def test_what_the_machine_does_not_show_is_none(tmp_path: Path) -> None:
    assert BoardState(tmp_path, tmp_path).read() == State()
    write(tmp_path, {"cpuinfo": "cpu MHz\t\t: 2400.5\ncpu MHz\t\t: 2600.5\n"})
    assert BoardState(tmp_path, tmp_path).read() == State(mhz=2500.5)


def test_a_file_that_goes_or_holds_rubbish_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"class/thermal/thermal_zone0/temp": "50000", "class/thermal/thermal_zone1/temp": "hot"})
    board = BoardState(tmp_path, tmp_path)
    assert board.read().celsius == 50.0
    (tmp_path / "class/thermal/thermal_zone0/temp").unlink()
    assert board.read().celsius is None
