<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Contracts\Foundation\Application;
use PusherServer\Laravel\Install\DotenvFile;
use PusherServer\Laravel\Install\InvalidInput;

/**
 * Whether the lines of `.env` that Vite or Mix builds into the page agree with PHP's.
 */
final class BrowserStep implements Step
{
    public function __construct(private readonly Application $app, private readonly BroadcastConnection $connection)
    {
    }

    public function name(): string
    {
        return 'Browser';
    }

    public function run(): Finding
    {
        $path = $this->app->environmentFilePath();
        try {
            $values = is_file($path) ? (new DotenvFile((string) file_get_contents($path)))->values() : [];
        } catch (InvalidInput) {
            $values = [];
        }
        $name = $this->connection->prefix().'_APP_KEY';
        foreach (["VITE_{$name}", "MIX_{$name}"] as $line) {
            if (!isset($values[$line])) {
                continue;
            }
            if ($values[$line] === $this->connection->secret()) {
                return Finding::wrong(
                    "{$line} is the secret, which every visitor can read",
                    "{$line}=\"\${{$name}}\"",
                    'npm run build',
                );
            }
            if ($values[$line] !== $this->connection->key()) {
                return Finding::wrong(
                    "{$line} is another key than PHP's: browsers connect to another app",
                    "{$line}=\"\${{$name}}\"",
                    'npm run build',
                );
            }

            return Finding::right("{$line} is the key that PHP uses; a page that was built before needs npm run build");
        }

        return Finding::unknown(".env has no VITE_{$name}: Echo has its key from elsewhere");
    }
}
