"""The configurations that somebody has who comes from another server.

soketi has its own default, read out of its package from npm. The others are written after their documentation.
"""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

SOKETI = "@soketi/soketi@1.6.1"
NPM_DEADLINE = 120.0

#: After laravel.com's page on Reverb, "Configuration" and "Application Credentials".
REVERB = """<?php

return [
    'default' => env('REVERB_SERVER', 'reverb'),
    'servers' => [
        'reverb' => [
            'host' => env('REVERB_SERVER_HOST', '0.0.0.0'),
            'port' => env('REVERB_SERVER_PORT', 8080),
            'hostname' => env('REVERB_HOST'),
            'options' => ['tls' => []],
            'max_request_size' => env('REVERB_MAX_REQUEST_SIZE', 10_000),
            'scaling' => ['enabled' => env('REVERB_SCALING_ENABLED', false)],
        ],
    ],
    'apps' => [
        'provider' => 'config',
        'apps' => [
            [
                'app_id' => env('REVERB_APP_ID'),
                'key' => env('REVERB_APP_KEY'),
                'secret' => env('REVERB_APP_SECRET'),
                'allowed_origins' => ['*'],
                'ping_interval' => 60,
                'activity_timeout' => 30,
                'max_message_size' => 10_000,
            ],
        ],
    ],
];
"""
REVERB_ENV = "REVERB_APP_ID=1\nREVERB_APP_KEY=shop-key\nREVERB_APP_SECRET=shop-secret-of-reverb\n"

#: After the package's page "Configuration".
WEBSOCKETS = """<?php

use BeyondCode\\LaravelWebSockets\\Dashboard\\Http\\Middleware\\Authorize;

return [
    'dashboard' => ['port' => env('LARAVEL_WEBSOCKETS_PORT', 6001)],
    'apps' => [
        [
            'id' => env('PUSHER_APP_ID'),
            'name' => env('APP_NAME'),
            'key' => env('PUSHER_APP_KEY'),
            'secret' => env('PUSHER_APP_SECRET'),
            'capacity' => null,
            'enable_client_messages' => false,
            'enable_statistics' => true,
        ],
    ],
    'allowed_origins' => [],
    'max_request_size_in_kb' => 250,
    'middleware' => ['web', Authorize::class],
    'ssl' => ['local_cert' => env('LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT', null)],
];
"""
PUSHER_ENV = (
    'APP_NAME="The shop"\nBROADCAST_DRIVER=pusher\n\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=shop-key\n'
    "PUSHER_APP_SECRET=shop-secret-of-pusher # rotate\nPUSHER_APP_CLUSTER=eu\n"
)

#: After sockudo.io's page "Static configuration".
SOCKUDO = """
host = "0.0.0.0"
port = 6001
activity_timeout = 120

[adapter]
driver = "local"

[app_manager]
driver = "memory"

[[app_manager.array.apps]]
id = "shop"
key = "shop-key"
secret = "${SHOP_SECRET:-shop-secret-of-sockudo}"
enabled = true

[app_manager.array.apps.policy.limits]
max_connections = 1000
max_client_events_per_second = 100

[app_manager.array.apps.policy.features]
enable_client_messages = true

[app_manager.array.apps.policy.channels]
allowed_origins = ["*"]

[rate_limiter]
enabled = false
"""

#: Prints the options of a server that has been given none; what soketi needs for serving is stood in for.
_OPTIONS = """
const Module = require('module');
const load = Module._load;
const nothing = new Proxy(function () {}, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => '' : nothing),
  apply: () => nothing, construct: () => nothing });
Module._load = (name, parent, isMain) => {
  if (/^[./]/.test(name) || Module.isBuiltin(name)) return load(name, parent, isMain);
  return name === 'dot-wild' ? { set: (tree) => tree } : nothing;
};
const { Server } = require(process.argv[1] + '/dist/server.js');
const options = new Server().options;
delete options.instance;
process.stdout.write(JSON.stringify(options));
"""


def soketi_default(folder: Path) -> str:
    """The JSON of soketi's default options, out of its package. `folder` is for the package."""
    node = shutil.which("node")
    assert node is not None, "Node is missing: make test-full puts that of PyPI first in PATH"
    npm = Path(node).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"  # its bin/npm does not work
    subprocess.run(
        [node, npm, "pack", SOKETI, "--silent"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=NPM_DEADLINE,
    )
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        package.extractall(folder, filter="data")
    printed = subprocess.run(
        [node, "-e", _OPTIONS, str(folder / "package")],
        check=True,
        capture_output=True,
        text=True,
        timeout=NPM_DEADLINE,
    )
    options: dict[str, object] = json.loads(printed.stdout)
    return json.dumps(options)


def write(directory: Path, peer: str, *, soketi: str) -> list[Path]:
    """Put the files of a server where its page says; returns them. `soketi` is its default as JSON."""
    files = {
        "laravel-websockets": {"config/websockets.php": WEBSOCKETS, ".env": PUSHER_ENV},
        "reverb": {"config/reverb.php": REVERB, ".env": REVERB_ENV},
        "soketi": {"soketi.json": soketi},
        "sockudo": {"config.toml": SOCKUDO},
        "pusher": {".env": PUSHER_ENV},
    }[peer]
    written = []
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        written.append(path)
    return written
