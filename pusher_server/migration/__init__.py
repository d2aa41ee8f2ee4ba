"""Imports the configuration of another server: its files are read as text, and become a configuration of ours.

A reader makes a `Draft`: our settings, and a finding for each setting that it met. The meaning of each value is
the other server's; `docs/migration/` names the sources of these facts. Read:

- `findings`             one line for each setting, the table of them, and questions to the operator
- `draft`                a configuration of ours in the making, with its findings
- `options`              a tree of foreign settings that remembers what was read
- `sources`              decides which server a file belongs to, and reads it
- `tables_of_apps`       another server's SQL table, which stays where it is
- `environment`          a server's variables as ours, for `serve --env-style`

The servers:

- `laravel_websockets`   `config/websockets.php`
- `reverb`               `config/reverb.php`
- `laravel`              the part that these two share
- `soketi`               its JSON file and variables
- `soketi_options`       its defaults and the names of its variables
- `soketi_apps`          its apps and limits
- `sockudo`              its TOML or JSON file
- `sockudo_environment`  its variables
- `sockudo_apps`         its apps and its table of them
- `pusher_hosted`        hosted Pusher: a `.env`, and questions

Forms of files, and values:

- `files`                text, JSON and TOML, with bounds
- `dotenv`               `.env`
- `php`                  the array that a PHP file returns, without executing it
- `php_tokens`           PHP's tokens
- `php_operators`        its operators and casts, for values that are known
- `php_functions`        the functions that have a value without PHP
- `toml_text`            writes TOML
- `numbers`              numbers and switches as JavaScript, PHP and Rust read them
- `places`               addresses of Redis and of databases
- `tls`                  certificates, when they are there
- `webhooks`             webhooks, checked as ours are

May import: `app`, `config`, `errors`.
"""
