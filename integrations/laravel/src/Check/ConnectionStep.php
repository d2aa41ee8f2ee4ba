<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use PusherServer\Laravel\Install\Connection;
use Pusher\Pusher;

/**
 * Whether Laravel's connection for broadcasts leads to a server of our own, by its settings.
 */
final class ConnectionStep implements Step
{
    /**
     * @param  string  $variable  BROADCAST_CONNECTION or BROADCAST_DRIVER
     */
    public function __construct(private readonly BroadcastConnection $connection, private readonly string $variable)
    {
    }

    public function name(): string
    {
        return 'Connection';
    }

    public function run(): Finding
    {
        $connection = $this->connection;
        $finding = $this->choice() ?? $this->credentials() ?? $this->address();
        if ($finding !== null) {
            return $finding;
        }
        $path = $connection->path() === '' ? '' : "{$connection->path()}/";

        return Finding::right(
            "\"{$connection->name}\" leads to {$connection->origin()}{$path}, app {$connection->appId()}",
        );
    }

    private function choice(): ?Finding
    {
        $connection = $this->connection;
        $choose = "{$this->variable}=pusher";
        if ($connection->config === null && $connection->name !== 'null') {
            return Finding::wrong(
                "config/broadcasting.php has no connection \"{$connection->name}\"",
                $choose,
                'php artisan config:clear',
            );
        }
        if (in_array($connection->driver(), ['', 'null', 'log'], true)) {
            $what = $connection->driver() === 'log' ? 'writes events into the log' : 'drops events without an error';

            return Finding::wrong(
                "The default connection \"{$connection->name}\" {$what}",
                $choose,
                'php artisan config:clear',
            );
        }
        if (!$connection->isPusher()) {
            return Finding::wrong(
                "The connection \"{$connection->name}\" has the driver \"{$connection->driver()}\", "
                    .'which does not lead to this server',
                $choose,
            );
        }
        if (!class_exists(Pusher::class)) {
            return Finding::wrong(
                'The library pusher/pusher-php-server is missing',
                'composer require pusher/pusher-php-server',
            );
        }

        return null;
    }

    private function credentials(): ?Finding
    {
        $connection = $this->connection;
        $values = [
            'APP_ID' => $connection->appId(),
            'APP_KEY' => $connection->key(),
            'APP_SECRET' => $connection->secret(),
        ];
        foreach ($values as $part => $value) {
            $name = "{$connection->prefix()}_{$part}";
            if ($value === '') {
                return Finding::wrong("{$name} is empty", 'php artisan pusher-server:install');
            }
            if (Connection::credentialProblem($value) !== null) {
                return Finding::wrong(
                    "{$name} has blanks, line ends or quotes that do not belong to it",
                    'php artisan pusher-server:install',
                );
            }
        }

        return null;
    }

    private function address(): ?Finding
    {
        $connection = $this->connection;
        $prefix = $connection->prefix();
        $host = $connection->host();
        if ($host === '' || str_ends_with($host, '.pusher.com')) {
            return Finding::wrong(
                $host === ''
                    ? "The connection \"{$connection->name}\" has no host, so events go to hosted Pusher"
                    : "Events go to hosted Pusher, {$host}: {$prefix}_HOST is empty or not read by config/broadcasting.php",
                'php artisan pusher-server:install',
            );
        }
        if (($problem = Connection::hostProblem($host)) !== null) {
            return Finding::wrong(
                "{$prefix}_HOST is \"{$connection->option('host')}\". {$problem}",
                "{$prefix}_HOST=".$this->bareHost($host),
            );
        }
        if (($problem = Connection::portProblem((string) $connection->port())) !== null) {
            return Finding::wrong(
                "{$prefix}_PORT is \"{$connection->option('port')}\". {$problem}",
                "{$prefix}_PORT=6001",
            );
        }
        if (($problem = Connection::schemeProblem($connection->scheme())) !== null) {
            return Finding::wrong(
                "{$prefix}_SCHEME is \"{$connection->scheme()}\". {$problem}",
                "{$prefix}_SCHEME=http",
            );
        }

        return null;
    }

    private function bareHost(string $host): string
    {
        return parse_url(str_contains($host, '://') ? $host : "http://{$host}", PHP_URL_HOST) ?: '127.0.0.1';
    }
}
