<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

/**
 * Reads the server's error texts, which name the cause; Laravel's exceptions repeat them.
 *
 * The texts are those of docs/protocol/http-api.md; a test compares each with a running server.
 */
final class Refusals
{
    public function __construct(private readonly BroadcastConnection $connection)
    {
    }

    /**
     * The cause, null if the text is none of the server's.
     */
    public function read(string $text): ?Finding
    {
        $prefix = $this->connection->prefix();
        $appId = $this->connection->appId();
        $rows = [
            'Unknown auth_key' => [
                "The server has no app with this {$prefix}_APP_KEY, or key and secret have changed places",
                "{$prefix}_APP_KEY=   # the key in the server's configuration",
            ],
            'Invalid signature' => [
                "{$prefix}_APP_SECRET is not the secret of {$prefix}_APP_KEY",
                "{$prefix}_APP_SECRET=   # the secret in the server's configuration",
            ],
            'Not authorized for that app' => [
                "The app with this key has another id than {$prefix}_APP_ID={$appId}",
                "{$prefix}_APP_ID=   # the id in the server's configuration",
            ],
            'Timestamp expired' => [
                'The clocks of this machine and of the server are too far apart',
                'timedatectl set-ntp true',
            ],
            'The app is disabled' => ["The app {$appId} is disabled", "pusher-server apps enable {$appId}"],
            'double slash' => ['The path has a double slash', "'path' => '',   // options in config/broadcasting.php"],
            'Too many requests' => [
                'The app publishes more events than its limit allows',
                'look at limits.backend_events_per_second of the app',
            ],
            'in the database at the moment' => [
                'The server cannot reach its database of apps',
                'look into the log of the server',
            ],
            'speaks TLS, and plain HTTP came' => [
                "{$prefix}_SCHEME is http, and port {$this->connection->port()} speaks TLS",
                "{$prefix}_SCHEME=https",
            ],
            'speaks plain HTTP, and TLS came' => [
                "{$prefix}_SCHEME is https, and port {$this->connection->port()} speaks plain HTTP",
                "{$prefix}_SCHEME=http",
            ],
        ];
        foreach ($rows as $part => $row) {
            if (str_contains($text, $part)) {
                return Finding::wrong(...$row);
            }
        }

        return null;
    }
}
