<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

/**
 * What the browser needs: lines of `.env` that Vite or Mix builds into the page, and the JavaScript that reads them.
 */
final class EchoLines
{
    /**
     * @param  string  $prefix  "VITE" or "MIX"
     */
    public function __construct(private readonly string $prefix)
    {
    }

    /**
     * For the bundler of an application: Laravel Mix if its file is there, otherwise Vite.
     */
    public static function of(string $applicationPath): self
    {
        $mix = is_file("{$applicationPath}/webpack.mix.js") && !glob("{$applicationPath}/vite.config.*");

        return new self($mix ? 'MIX' : 'VITE');
    }

    /**
     * The names of `.env` for the browser, and the name of PHP's that has the same value.
     *
     * @return array<string, string>
     */
    public function names(): array
    {
        $names = [];
        foreach (['PUSHER_APP_KEY', 'PUSHER_HOST', 'PUSHER_PORT', 'PUSHER_SCHEME'] as $name) {
            $names["{$this->prefix}_{$name}"] = $name;
        }

        return $names;
    }

    public function script(): string
    {
        $read = fn (string $name): string => $this->prefix === 'VITE'
            ? "import.meta.env.VITE_{$name}"
            : "process.env.MIX_{$name}";

        return <<<JS
            import Echo from 'laravel-echo';
            import Pusher from 'pusher-js';

            window.Pusher = Pusher;
            window.Echo = new Echo({
              broadcaster: 'pusher',
              key: {$read('PUSHER_APP_KEY')},
              cluster: 'mt1',
              wsHost: {$read('PUSHER_HOST')},
              wsPort: {$read('PUSHER_PORT')},
              wssPort: {$read('PUSHER_PORT')},
              forceTLS: {$read('PUSHER_SCHEME')} === 'https',
              enabledTransports: ['ws', 'wss'],
            });

            JS;
    }
}
