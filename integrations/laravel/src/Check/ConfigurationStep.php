<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Dotenv\Dotenv;
use Illuminate\Contracts\Foundation\Application;
use Illuminate\Foundation\Application as FrameworkApplication;
use Illuminate\Support\Env;
use PusherServer\Laravel\Install\DotenvFile;
use PusherServer\Laravel\Install\InvalidInput;
use ReflectionClass;
use Throwable;

/**
 * Whether Laravel goes by `.env` at all: a cached configuration or a variable of the process wins over it.
 */
final class ConfigurationStep implements Step
{
    private const NAMES = '/\A(BROADCAST_(CONNECTION|DRIVER)|QUEUE_CONNECTION|(PUSHER|REVERB)_(APP_ID|APP_KEY|APP_SECRET'
        .'|HOST|PORT|SCHEME))\z/';

    private const ATTRIBUTES = [
        'driver', 'key', 'secret', 'app_id',
        'options.host', 'options.port', 'options.scheme', 'options.useTLS', 'options.path',
    ];

    public function __construct(private readonly Application $app, private readonly BroadcastConnection $connection)
    {
    }

    public function name(): string
    {
        return 'Configuration';
    }

    public function run(): Finding
    {
        $path = $this->app->environmentFilePath();
        if (!is_file($path)) {
            return Finding::unknown(
                "{$path} is missing: every value comes from the process's environment or from config/",
            );
        }
        if (!$this->app->configurationIsCached()) {
            return $this->overruled($path);
        }
        try {
            $differences = $this->differences();
        } catch (Throwable $error) {
            return Finding::unknown(
                'The configuration is cached, and whether it agrees with .env cannot be seen: '.get_class($error),
                'php artisan config:cache',
            );
        }
        if ($differences !== []) {
            $names = implode(', ', $differences);

            return Finding::wrong(
                "The configuration is cached and differs from .env in: {$names}",
                'php artisan config:cache',
                'php artisan queue:restart',
            );
        }

        return Finding::right('It is cached, and agrees with .env');
    }

    /**
     * Variables of the process win over lines of `.env`, without a word.
     */
    private function overruled(string $path): Finding
    {
        try {
            $lines = (new DotenvFile((string) file_get_contents($path)))->values();
        } catch (InvalidInput) {
            return Finding::unknown('.env is read by Laravel only');
        }
        $names = [];
        foreach ($lines as $name => $value) {
            $real = Env::getRepository()->get($name);
            if (preg_match(self::NAMES, $name) === 1 && $real !== null && $real !== $value) {
                $names[] = $name;
            }
        }
        if ($names === []) {
            return Finding::right('.env counts, it is not cached');
        }

        return Finding::unknown(
            'The environment of this process wins over .env, and a worker or web server may have another one: '
                .implode(', ', $names),
        );
    }

    /**
     * The settings that would be others without the cache.
     *
     * @return array<string>
     */
    private function differences(): array
    {
        $broadcasting = $this->fresh('broadcasting');
        $queue = $this->fresh('queue');
        $name = $this->connection->name;
        $cached = ['config' => $this->connection->config ?? []];
        $fresh = ['config' => $broadcasting['connections'][$name] ?? []];
        $differences = [];
        if (($broadcasting['default'] ?? null) !== $this->app->make(BroadcastConnection::class)->configured) {
            $differences[] = 'broadcasting.default';
        }
        foreach (self::ATTRIBUTES as $attribute) {
            if (data_get($fresh, "config.{$attribute}") != data_get($cached, "config.{$attribute}")) {
                $differences[] = "broadcasting.connections.{$name}.{$attribute}";
            }
        }
        if (($queue['default'] ?? null) !== $this->app['config']['queue.default']) {
            $differences[] = 'queue.default';
        }

        return $differences;
    }

    /**
     * A file of `config/` evaluated with `.env`, which Laravel does not read while the configuration is cached.
     *
     * @return array<string, mixed>
     */
    private function fresh(string $name): array
    {
        $file = $this->app->configPath("{$name}.php");
        $class = (string) (new ReflectionClass(FrameworkApplication::class))->getFileName();
        $own = dirname($class, 4)."/config/{$name}.php";
        $repository = Env::getRepository();
        $lines = Dotenv::create($repository, $this->app->environmentPath(), $this->app->environmentFile())->safeLoad();
        try {
            $values = is_file($file) ? require $file : [];
            if (is_file($own)) { // Laravel 11 and newer complete the application's file by their own one
                $framework = require $own;
                $values = array_merge($framework, $values);
                $values['connections'] += $framework['connections'];
            }

            return $values;
        } finally {
            array_map($repository->clear(...), array_keys($lines));
        }
    }
}
