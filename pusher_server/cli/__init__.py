"""The command `pusher-server`: one file per command, gathered in `main`.

Commands import their modules when they run, so that `--help` and `version` answer at once. Read:

- `main`              the group; a wrong setting becomes one line and exit status 2
- `serve`             the command `serve`
- `banner`            the page that `serve` prints once it runs
- `config_file`       chooses the file that a command reads
- `credentials`       makes and keeps credentials for one machine
- `check_config`      the command `check-config`
- `env_style`         the option `--env-style`: the variables of another server
- `import_peer`       the command `import`: a config file from that of another server
- `default_config`    the command `default-config`
- `systemd`           the command `install-service`
- `systemd_steps`     its plan: steps that can be shown before they are taken
- `systemd_files`     its files, and the record of what it made
- `systemd_host`      the machine that it changes: files, users, programs
- `version`           the command `version`
- `apps`              the commands `apps …`
- `apps_in_database`  their verbs on a table
- `apps_in_file`      their verbs on a file, which is read and never edited
- `apps_shown`        prints apps; secrets only on request
- `doctor`            the command `doctor`, which looks at a set-up from outside
- `why`               the command `why`, which asks a running server
- `tail`              the command `tail`, which follows a running server
- `token`             the command `token`, which signs as an auth route does
- `inventory`         the commands `channels`, `connections`, `publish` and `kick`
- `listener_options`  the options by which these commands find the operations listener
- `operations`        asks a running server over its operations listener
- `container_health`  the image's health check, which imports the standard library only
- `webhooks`          the commands `webhooks …`

May import: every other package.
"""
