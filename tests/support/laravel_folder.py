"""Writes a Laravel project that is right, and changes parts of it."""

import os
from collections.abc import Mapping
from pathlib import Path

#: Values that must never be printed; none of them is part of a sentence.
KEY, SECRET, APP_ID = "kEy9f3a7c21d4b8e", "sEcr3t-0a1b2c3d4e5f", "4711815"
HOST = "ws.canary-host.example"

ENV = {
    "APP_NAME": "CanaryName77",
    "APP_KEY": "base64:cAnaryAppKey0123456789=",
    "DB_PASSWORD": "cAnary-db-passw0rd",
    "BROADCAST_CONNECTION": "pusher",
    "QUEUE_CONNECTION": "sync",
    "PUSHER_APP_ID": APP_ID,
    "PUSHER_APP_KEY": KEY,
    "PUSHER_APP_SECRET": SECRET,
    "PUSHER_HOST": HOST,
    "PUSHER_PORT": "443",
    "PUSHER_SCHEME": "https",
    "VITE_PUSHER_APP_KEY": "${PUSHER_APP_KEY}",
    "VITE_PUSHER_HOST": "${PUSHER_HOST}",
    "VITE_PUSHER_PORT": "${PUSHER_PORT}",
    "VITE_PUSHER_SCHEME": "${PUSHER_SCHEME}",
}

BROADCASTING = """<?php
return [
    'default' => env('BROADCAST_CONNECTION', 'null'),
    'connections' => [
        'reverb' => [
            'driver' => 'reverb',
            'key' => env('REVERB_APP_KEY'),
            'secret' => env('REVERB_APP_SECRET'),
            'app_id' => env('REVERB_APP_ID'),
            'options' => [
                'host' => env('REVERB_HOST'),
                'port' => env('REVERB_PORT', 443),
                'scheme' => env('REVERB_SCHEME', 'https'),
                'useTLS' => env('REVERB_SCHEME', 'https') === 'https',
            ],
        ],
        'pusher' => [
            'driver' => 'pusher',
            'key' => env('PUSHER_APP_KEY'),
            'secret' => env('PUSHER_APP_SECRET'),
            'app_id' => env('PUSHER_APP_ID'),
            'options' => [
                'cluster' => env('PUSHER_APP_CLUSTER'),
                'host' => env('PUSHER_HOST') ?: 'api-'.env('PUSHER_APP_CLUSTER', 'mt1').'.pusher.com',
                'port' => env('PUSHER_PORT', 443),
                'scheme' => env('PUSHER_SCHEME', 'https'),
                'encrypted' => true,
                'useTLS' => env('PUSHER_SCHEME', 'https') === 'https',
            ],
        ],
        'log' => ['driver' => 'log'],
        'null' => ['driver' => 'null'],
    ],
];
"""

CHANNELS = """<?php
use Illuminate\\Support\\Facades\\Broadcast;

// Broadcast::channel('private-old.{id}', fn () => true);
Broadcast::channel('App.Models.User.{id}', function ($user, $id) {
    return (int) $user->id === (int) $id;
});
Broadcast::channel('session.{id}', fn ($user, string $id) => ['id' => $user->id, 'name' => "x {$id}"]);
"""

BOOTSTRAP = """<?php
return Application::configure(basePath: dirname(__DIR__))
    ->withRouting(
        web: __DIR__.'/../routes/web.php',
        channels: __DIR__.'/../routes/channels.php',
        health: '/up',
    )->create();
"""

ECHO = """import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
window.Pusher = Pusher;
window.Echo = new Echo({
    broadcaster: 'pusher',
    key: import.meta.env.VITE_PUSHER_APP_KEY,
    wsHost: import.meta.env.VITE_PUSHER_HOST,
    wsPort: import.meta.env.VITE_PUSHER_PORT ?? 80,
    wssPort: import.meta.env.VITE_PUSHER_PORT ?? 443,
    forceTLS: (import.meta.env.VITE_PUSHER_SCHEME ?? 'https') === 'https',
    enabledTransports: ['ws', 'wss'],
});
"""

FILES = {
    "artisan": "#!/usr/bin/env php\n",
    "config/broadcasting.php": BROADCASTING,
    "routes/channels.php": CHANNELS,
    "bootstrap/app.php": BOOTSTRAP,
    "resources/js/echo.js": ECHO,
    "composer.json": '{"require": {"laravel/framework": "^11.0", "pusher/pusher-php-server": "^7.2"}}',
    "package.json": '{"devDependencies": {"laravel-echo": "^2.0", "pusher-js": "^8.4"}}',
}


def write_project(
    folder: Path,
    *,
    env: Mapping[str, str | None] | None = None,
    files: Mapping[str, str | None] | None = None,
) -> Path:
    """Write the right project with these changes; None removes a variable or a file."""
    variables = {**ENV, **(env or {})}
    lines = [f'{name}="{value}"' for name, value in variables.items() if value is not None]
    everything = {".env": "\n".join(lines) + "\n", **FILES, **(files or {})}
    for name, text in everything.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text, "utf-8")
    return folder


def make_older(path: Path) -> None:
    """Give a file a time in the past."""
    os.utime(path, (1_000_000_000, 1_000_000_000))
