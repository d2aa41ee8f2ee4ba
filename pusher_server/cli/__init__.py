"""The command `pusher-server`: one file per command, gathered in `main`.

Commands import their modules when they run, so that `--help` and `version` answer at once. Read:

- `main`              the group; a wrong setting becomes one line and exit status 2
- `serve`             the command `serve`
- `banner`            the page that `serve` prints once it runs
- `config_file`       chooses the file that a command reads
- `credentials`       makes and keeps credentials for one machine
- `check_config`      the command `check-config`
- `default_config`    the command `default-config`
- `version`           the command `version`
- `apps`              the commands `apps …`
- `apps_in_database`  their verbs on a table
- `apps_in_file`      their verbs on a file, which is read and never edited
- `apps_shown`        prints apps; secrets only on request
- `why`               the command `why`, which asks a running server
- `tail`              the command `tail`, which follows a running server
- `token`             the command `token`, which signs as an auth route does
- `inventory`         the commands `channels`, `connections`, `publish` and `kick`
- `operations`        asks a running server over its operations listener
- `webhooks`          the commands `webhooks …`

May import: every other package.
"""
