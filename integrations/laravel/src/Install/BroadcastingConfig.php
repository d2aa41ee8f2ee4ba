<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * What `config/broadcasting.php` reads from `.env`, by its text. Without the file it is Laravel's own, of 11 and newer.
 */
final class BroadcastingConfig
{
    private function __construct(private readonly ?string $text, private readonly string $laravel)
    {
    }

    public static function of(string $configPath, string $laravelVersion): self
    {
        $file = "{$configPath}/broadcasting.php";

        return new self(is_file($file) ? (string) file_get_contents($file) : null, $laravelVersion);
    }

    /**
     * The name in `.env` that chooses the connection: Laravel 11 has renamed it, and an application keeps its old file.
     */
    public function variable(): string
    {
        if ($this->text === null) {
            return version_compare($this->laravel, '11', '>=') ? 'BROADCAST_CONNECTION' : 'BROADCAST_DRIVER';
        }
        if (!$this->reads('BROADCAST_CONNECTION') && $this->reads('BROADCAST_DRIVER')) {
            return 'BROADCAST_DRIVER';
        }

        return 'BROADCAST_CONNECTION';
    }

    /**
     * The lines that its "pusher" connection lacks, to be pasted into "options"; "" if it lacks none.
     *
     * The file of Laravel 8 and of early 9 knows only hosted Pusher: it has no host.
     */
    public function missingOptions(): string
    {
        $lines = [
            'PUSHER_HOST' => "'host' => env('PUSHER_HOST'),",
            'PUSHER_PORT' => "'port' => env('PUSHER_PORT', 6001),",
            'PUSHER_SCHEME' => "'scheme' => env('PUSHER_SCHEME', 'http'),\n"
                ."'useTLS' => env('PUSHER_SCHEME', 'http') === 'https',",
        ];
        if ($this->text === null) {
            return '';
        }

        return implode("\n", array_filter($lines, fn (string $name) => !$this->reads($name), ARRAY_FILTER_USE_KEY));
    }

    private function reads(string $name): bool
    {
        return $this->text !== null && preg_match('/[\'"]'.$name.'[\'"]/', $this->text) === 1;
    }
}
