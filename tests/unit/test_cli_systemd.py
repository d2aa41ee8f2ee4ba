"""`pusher-server install-service`: what it makes, keeps, refuses and takes back, on a machine in a folder."""

import configparser
import json
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pusher_server.cli import systemd, systemd_files, systemd_steps
from pusher_server.cli.main import main
from pusher_server.cli.systemd_files import CONFIG, FOLDER, RECORD, STATE, UNIT
from pusher_server.cli.systemd_host import Host
from pusher_server.config import load
from pusher_server.config.risks import risks
from pusher_server.errors import ConfigError

PROGRAM = ("/opt/pusher-server/bin/pusher-server",)
NUMBER = 991


class Machine(Host):
    """A machine in a folder: programs are remembered, and users written into its tables."""

    def __init__(self, root: Path, *, is_this: bool = False, runs_systemd: bool = False) -> None:
        super().__init__(root, self._run_program, self._note_owner)
        self._is_this = is_this
        self._has_systemd = runs_systemd
        self.ran: list[str] = []
        self.owners: dict[str, tuple[int, int]] = {}
        self.fails: str = ""
        (root / "etc").mkdir(exist_ok=True)
        for table in ("passwd", "group"):
            (root / "etc" / table).touch()

    @property
    def is_this_machine(self) -> bool:
        return self._is_this

    @property
    def runs_systemd(self) -> bool:
        return self._has_systemd

    def _id_in(self, table: Path, name: str) -> int | None:
        rows = [line.split(":") for line in (self.read(table) or "").splitlines()]
        return next((int(row[2]) for row in rows if row[0] == name), None)

    def _note_owner(self, path: Path, user: int, group: int) -> None:
        name = path.name.removeprefix(".").removesuffix(".new")
        self.owners[name] = (user, group)

    def _run_program(self, command: tuple[str, ...]) -> None:
        if command[0] == self.fails:
            raise subprocess.CalledProcessError(3, command, stderr="first\nno room\n")
        self.ran.append(" ".join(command))
        tables = [self.place(Path("/etc") / name) for name in ("passwd", "group")]
        for table in tables:
            if command[0] == "useradd":
                table.write_text(f"root:x:0:\n{command[-1]}:x:{NUMBER}:\n")
            if command[0] == "userdel":
                table.write_text("root:x:0:\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An image, where no systemd runs."""
    return Machine(tmp_path)


def install(host: Host, *, force: bool = False) -> list[str]:
    """Take all steps; the lines that the command prints."""
    return _take(list(systemd_steps.install(host, PROGRAM, force=force)))


def remove(host: Host, *, purge: bool = False) -> list[str]:
    """The way back."""
    return _take(list(systemd_steps.remove(host, purge=purge)))


def _take(steps: list[systemd_steps.Step]) -> list[str]:
    for step in steps:
        step.act()
    return [step.done for step in steps]


def files_in(host: Host) -> dict[str, str]:
    """Every file of the machine with its text, but for the tables of users."""
    top = host.place(Path("/"))
    return {
        str(path.relative_to(top)): path.read_text()
        for path in top.rglob("*")
        if path.is_file() and path.name not in ("passwd", "group")
    }


def unit_of(text: str) -> configparser.RawConfigParser:
    """A unit, whose settings may be repeated."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    parser.read_string(text)
    return parser


class TestInstall:
    def test_it_makes_user_folder_config_and_unit_and_says_so(self, machine: Machine) -> None:
        assert install(machine) == [
            "made the folder /etc/pusher-server",
            "wrote /etc/pusher-server/install-service.json: what `--remove` takes back",
            "made the system user pusher-server",
            "made /etc/pusher-server readable for the group pusher-server",
            "wrote /etc/pusher-server/pusher-server.toml: one app with fresh credentials",
            "wrote /etc/systemd/system/pusher-server.service",
        ]
        root = machine.place(Path("/"))
        assert machine.ran == [
            f"useradd --prefix {root} --system --user-group --no-create-home --home-dir /nonexistent"
            " --shell /usr/sbin/nologin pusher-server"
        ]

    def test_only_root_and_the_service_read_the_secrets(self, machine: Machine) -> None:
        install(machine)
        modes = {
            path.name: stat.S_IMODE(machine.place(path).stat().st_mode)
            for path in (FOLDER, CONFIG, RECORD, UNIT)
        }
        assert modes == {
            "pusher-server": 0o750,
            "pusher-server.toml": 0o640,
            "install-service.json": 0o600,
            "pusher-server.service": 0o644,
        }
        assert machine.owners["pusher-server.toml"] == (0, NUMBER)
        assert machine.owners["pusher-server"] == (0, NUMBER)
        assert machine.owners["pusher-server.service"] == (0, 0)

    def test_the_config_is_right_and_holds_no_risk(self, machine: Machine) -> None:
        install(machine)
        path = machine.place(CONFIG)
        config = load(path, {}, {})
        (app,) = config.apps
        assert len(app.keys[0].secret) == 40
        assert config.server.trusted_proxies == ("127.0.0.1",)
        assert list(risks(config, path)) == []

    def test_two_machines_have_two_secrets(self, tmp_path: Path) -> None:
        texts = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            machine = Machine(tmp_path / name)
            install(machine)
            texts.append(machine.read(CONFIG) or "")
        first, second = (tomllib.loads(text)["apps"][0] for text in texts)
        assert all(first[name] != second[name] for name in ("id", "key", "secret"))

    def test_no_line_shows_a_secret(self, machine: Machine) -> None:
        lines = install(machine)
        secret = tomllib.loads(machine.read(CONFIG) or "")["apps"][0]["secret"]
        assert secret not in "\n".join(lines)
        assert secret not in (machine.read(RECORD) or "")

    def test_the_unit_starts_the_program_with_that_config(self, machine: Machine) -> None:
        install(machine)
        unit = unit_of(machine.read(UNIT) or "")
        assert unit["Service"]["ExecStart"] == f"{PROGRAM[0]} serve --config {CONFIG}"
        assert unit["Service"]["User"] == unit["Service"]["Group"] == systemd_files.NAME
        assert unit["Service"]["StateDirectory"] == STATE.name

    def test_again_it_changes_nothing(self, machine: Machine) -> None:
        install(machine)
        before, ran = files_in(machine), len(machine.ran)
        assert install(machine) == [
            "kept the user pusher-server",
            "kept /etc/pusher-server/pusher-server.toml as it is",
            "kept /etc/systemd/system/pusher-server.service, which is up to date",
        ]
        assert files_in(machine) == before
        assert len(machine.ran) == ran

    def test_an_older_unit_of_ours_is_replaced_and_the_config_kept(self, machine: Machine) -> None:
        older = ("/opt/older/bin/pusher-server",)
        _take(list(systemd_steps.install(machine, older, force=False)))
        config = machine.read(CONFIG)
        lines = install(machine)
        assert "wrote /etc/systemd/system/pusher-server.service" in lines
        assert PROGRAM[0] in (machine.read(UNIT) or "")
        assert machine.read(CONFIG) == config

    @pytest.mark.parametrize("text", ["[Unit]\n", ""])
    def test_a_unit_of_somebody_else_is_not_overwritten(self, machine: Machine, text: str) -> None:
        machine.place(UNIT).parent.mkdir(parents=True)
        machine.place(UNIT).write_text(text)
        with pytest.raises(ConfigError, match=r"differs from .*`--force` replaces it"):
            install(machine)
        assert files_in(machine) == {str(UNIT)[1:]: text}
        assert machine.ran == []
        install(machine, force=True)
        assert PROGRAM[0] in (machine.read(UNIT) or "")

    def test_a_config_and_a_user_that_are_there_are_kept(self, machine: Machine) -> None:
        machine.add_user(systemd_files.NAME)
        machine.place(CONFIG).parent.mkdir(parents=True)
        machine.place(CONFIG).write_text("# mine\n")
        install(machine, force=True)
        assert machine.read(CONFIG) == "# mine\n"
        remove(machine, purge=True)
        assert files_in(machine) == {str(CONFIG)[1:]: "# mine\n"}
        assert machine.has_user(systemd_files.NAME)

    def test_systemd_reads_its_units_and_the_user_tries_the_config(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, is_this=True, runs_systemd=True)
        assert install(machine)[-2:] == [
            "ran `systemctl daemon-reload`",
            "ran `check-config` as the user pusher-server",
        ]
        assert machine.ran[-2:] == [
            "systemctl daemon-reload",
            f"runuser -u pusher-server -- {PROGRAM[0]} check-config {CONFIG}",
        ]

    @pytest.mark.parametrize("text", ["{", "[]", '{"digests": 1}', "[" * 100_000])
    def test_a_damaged_record_is_one_sentence(self, machine: Machine, text: str) -> None:
        machine.place(RECORD).parent.mkdir(parents=True)
        machine.place(RECORD).write_text(text)
        for verb in (install, remove):
            with pytest.raises(
                ConfigError, match=r"install-service.json: cannot be read; remove it"
            ):
                verb(machine)

    def test_a_program_that_fails_is_named_with_its_last_line(self, machine: Machine) -> None:
        machine.fails = "useradd"
        with pytest.raises(ConfigError, match=r"^useradd .* pusher-server: failed: no room$"):
            install(machine)
        machine.fails = ""
        install(machine)
        assert stat.S_IMODE(machine.place(FOLDER).stat().st_mode) == 0o750, "the rest is done then"
        assert machine.has_user(systemd_files.NAME)
        remove(machine)
        assert files_in(machine) == {}


class TestRemove:
    def test_it_takes_back_all_of_it(self, machine: Machine) -> None:
        install(machine)
        machine.place(STATE).mkdir(parents=True)  # as systemd does at the first start
        assert remove(machine) == [
            "removed /etc/systemd/system/pusher-server.service",
            "removed /etc/pusher-server/pusher-server.toml",
            "removed /var/lib/pusher-server",
            "removed the user pusher-server",
            "removed /etc/pusher-server/install-service.json",
            "removed the folder /etc/pusher-server",
        ]
        assert files_in(machine) == {}
        assert not machine.place(FOLDER).exists()
        assert not machine.has_user(systemd_files.NAME)
        assert remove(machine) == []

    def test_a_running_service_is_stopped_first(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, runs_systemd=True)
        install(machine)
        machine.ran.clear()
        remove(machine)
        assert [line.partition(" --prefix")[0] for line in machine.ran] == [
            "systemctl disable --now pusher-server.service",
            "systemctl daemon-reload",
            "userdel",
        ]

    @pytest.mark.parametrize("purge", [False, True])
    def test_a_changed_config_and_waiting_events_stay_unless_purged(
        self, machine: Machine, purge: bool
    ) -> None:
        install(machine)
        machine.place(CONFIG).write_text("# changed\n")
        machine.place(STATE).mkdir(parents=True)
        (machine.place(STATE) / "outbox-6001.sqlite3").write_text("events")
        lines = remove(machine, purge=purge)
        assert machine.place(CONFIG).exists() is not purge
        assert machine.place(STATE).exists() is not purge
        assert machine.has_user(systemd_files.NAME) is not purge
        assert ("kept the user pusher-server, because of the files that are kept" in lines) is not (
            purge
        )
        assert not machine.place(UNIT).exists()
        remove(machine, purge=True)
        assert files_in(machine) == {}
        assert not machine.has_user(systemd_files.NAME)

    def test_files_of_others_in_the_folder_stay(self, machine: Machine) -> None:
        install(machine)
        certificate = machine.place(FOLDER / "fullchain.pem")
        certificate.write_text("mine")
        lines = remove(machine, purge=True)
        assert "kept /etc/pusher-server with fullchain.pem" in lines
        assert certificate.read_text() == "mine"
        certificate.unlink()
        remove(machine)
        assert not machine.place(FOLDER).exists()

    def test_an_operators_own_changes_of_the_unit_stay(self, machine: Machine) -> None:
        install(machine)
        drop_in = machine.place(UNIT.with_name(f"{UNIT.name}.d")) / "override.conf"
        drop_in.parent.mkdir()
        drop_in.write_text("[Service]\n")
        assert any(line.endswith(".service.d, which is yours") for line in remove(machine))
        assert drop_in.exists()


def call(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["install-service", *arguments], catch_exceptions=False)


class TestCommand:
    def test_a_dry_run_changes_nothing(self, machine: Machine) -> None:
        root = machine.place(Path("/"))
        result = call("--dry-run", "--root", str(root), "--program", PROGRAM[0])
        assert result.exit_code == 0
        lines = result.output.splitlines()
        assert lines[0] == "would make the folder /etc/pusher-server"
        assert lines[-1] == "would write /etc/systemd/system/pusher-server.service"
        assert files_in(machine) == {}
        install(machine)
        result = call("--dry-run", "--remove", "--root", str(root))
        assert "would remove the user pusher-server\n" in result.output
        assert machine.has_user(systemd_files.NAME)

    def test_it_says_what_is_next(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("pusher_server.cli.systemd_host.Host", Machine)
        result = call("--root", str(tmp_path), "--program", PROGRAM[0])
        assert result.exit_code == 0, result.output
        rest = result.output.partition("\n\n")[2].splitlines()
        assert rest[0] == "systemd does not run here. Where it does, as root:"
        assert rest[1].startswith("  systemctl enable --now pusher-server ")
        assert rest[-1].startswith(f"  {PROGRAM[0]} apps show ID --reveal --config {CONFIG}")

    def test_it_needs_root(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        result = call("--root", str(tmp_path), "--program", PROGRAM[0])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "needs root: run it with sudo" in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_nothing_to_remove_is_no_error(self, tmp_path: Path) -> None:
        result = call("--remove", "--root", str(tmp_path))
        assert result.exit_code == 0
        assert result.output == "nothing to remove: this command has installed nothing here\n"

    def test_purge_alone_is_refused(self) -> None:
        assert call("--purge").exit_code == 2

    @pytest.mark.parametrize(
        "program",
        [
            "",
            "pusher-server",
            "bin/x/y",
            "/opt/my server/p",
            "/opt/%n/p",
            "/opt/$A/p",
            "/a\n/b",
            "/",
        ],
    )
    def test_a_program_that_a_unit_would_take_for_something_else(
        self, tmp_path: Path, program: str
    ) -> None:
        result = call("--dry-run", "--root", str(tmp_path), "--program", program)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "needs an absolute path" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_a_program_that_the_unit_hides_is_refused(self, tmp_path: Path) -> None:
        link = tmp_path / "program"
        link.symlink_to(Path("/", "root", "bin", "pusher-server"))
        for path in ("/home/me/.venv/bin/python", str(link)):
            with pytest.raises(ConfigError, match="the service cannot see /"):
                systemd.refuse_hidden([path])
        systemd.refuse_hidden(["/opt/pusher-server", "/homely", "/usr/bin/python3"])

    def test_the_unit_hides_what_the_command_refuses(self) -> None:
        service = unit_of(systemd_files.unit_text(PROGRAM))["Service"]
        assert (service["ProtectHome"], service["PrivateTmp"]) == ("yes", "yes")
        assert sys.platform.startswith("linux")

    def test_the_record_is_json(self, machine: Machine) -> None:
        install(machine)
        record = json.loads(machine.read(RECORD) or "")
        assert record["made_user"] is record["made_folder"] is True
        assert set(record["digests"]) == {str(UNIT), str(CONFIG)}
