<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Console;

use Illuminate\Console\Command;
use PusherServer\Laravel\Install\Backups;
use PusherServer\Laravel\Install\BroadcastingConfig;
use PusherServer\Laravel\Install\DotenvFile;
use PusherServer\Laravel\Install\EchoLines;
use PusherServer\Laravel\Install\FileReplacement;
use PusherServer\Laravel\Install\InvalidInput;

/**
 * Writes the server's address and the app's credentials into `.env`, and shows the lines for Echo.
 */
class InstallCommand extends Command
{
    protected $signature = 'pusher-server:install
        {--host= : Where PHP reaches the server}
        {--port= : Its port}
        {--scheme= : http, or https if the server or a proxy before it has a certificate}
        {--app-id= : The app\'s id}
        {--key= : The app\'s key}
        {--credentials= : A file with PUSHER_APP_ID=, PUSHER_APP_KEY= and PUSHER_APP_SECRET=, or "-" for standard input}
        {--browser-host= : Where browsers reach the server, if it is another host}
        {--browser-port= : Its port for browsers, if it is another one}
        {--browser-scheme= : Its scheme for browsers, if it is another one}
        {--echo= : Write the lines for Echo into this file, such as resources/js/echo.js}
        {--restore : Take the latest change back}
        {--force : With --restore: also if a file was edited since; with --echo: replace a file that is there}';

    protected $description = 'Point broadcasting at a pusher-server: .env and the lines for Laravel Echo';

    public function handle(): int
    {
        try {
            return $this->option('restore') ? $this->restore() : $this->install();
        } catch (InvalidInput $error) {
            $this->error($error->getMessage());

            return self::FAILURE;
        }
    }

    private function install(): int
    {
        $path = $this->laravel->environmentFilePath();
        if (!is_file($path)) {
            throw new InvalidInput("{$path} is missing: copy .env.example there first");
        }
        $old = (string) file_get_contents($path);
        $file = new DotenvFile($old);
        $answers = new Answers($this, $file->values(), $this->input->isInteractive());
        $connection = $answers->connection();
        $config = BroadcastingConfig::of($this->laravel->configPath(), $this->laravel->version());
        $echo = EchoLines::of($this->laravel->basePath());

        $before = $file->values();
        $lines = [$config->variable() => 'pusher'] + $connection->lines();
        array_walk($lines, fn (string $value, string $name) => $file->set($name, $value));
        $this->setBrowserLines($file, $echo, $answers->browser(), $before);
        $this->verify($file, $lines);
        $this->write(array_filter(
            [$path => $file->text(), ...$this->echoFile($echo)],
            fn (string $bytes, string $name) => !is_file($name) || file_get_contents($name) !== $bytes,
            ARRAY_FILTER_USE_BOTH,
        ));
        $this->showNextSteps($config, $echo);

        return self::SUCCESS;
    }

    /**
     * Browsers get PHP's values, unless an option or a line of its own gives them others.
     *
     * @param  array<string, string|null>  $browser  PHP's name => the browser's value, null if no option has one
     * @param  array<string, string|null>  $before  what `.env` had
     */
    private function setBrowserLines(DotenvFile $file, EchoLines $echo, array $browser, array $before): void
    {
        foreach ($echo->names() as $name => $target) {
            $old = $before[$name] ?? '';
            $own = $target !== 'PUSHER_APP_KEY' && $old !== '' && $old !== ($before[$target] ?? '');
            if (isset($browser[$target])) {
                $file->set($name, $browser[$target]);
            } elseif ($own) {
                $option = '--'.strtolower(str_replace('PUSHER_', 'browser-', $target));
                $this->line("Kept: {$name}={$old} for browsers ({$option} changes it)");
            } else {
                $file->refer($name, $target);
            }
        }
    }

    /**
     * Nothing is written that Laravel would not read back as it was meant.
     *
     * @param  array<string, string>  $lines
     */
    private function verify(DotenvFile $file, array $lines): void
    {
        $values = $file->values();
        foreach ($lines as $name => $value) {
            if (($values[$name] ?? null) !== $value) {
                throw new InvalidInput(
                    "{$name} cannot be set: its line in .env is written in a way that is not known here",
                );
            }
        }
    }

    /**
     * @return array<string, string> path => bytes
     */
    private function echoFile(EchoLines $echo): array
    {
        $name = $this->option('echo');
        if ($name === null) {
            return [];
        }
        $path = str_starts_with($name, '/') ? $name : $this->laravel->basePath($name);
        if (!is_dir(dirname($path))) {
            throw new InvalidInput("The folder of {$name} is missing");
        }
        if (is_file($path) && file_get_contents($path) !== $echo->script() && !$this->option('force')) {
            throw new InvalidInput("{$name} exists: add --force to replace it, a backup is kept; nothing was changed");
        }

        return [$path => $echo->script()];
    }

    /**
     * @param  array<string, string>  $changes  path => bytes
     */
    private function write(array $changes): void
    {
        if ($changes === []) {
            $this->line('Nothing to change: the files have these values already.');

            return;
        }
        $backup = $this->backups()->keep($changes);
        try {
            array_walk($changes, fn (string $bytes, string $path) => FileReplacement::write($path, $bytes));
        } catch (InvalidInput $error) {
            $this->backups()->cancel($backup);
            throw $error;
        }
        foreach (array_keys($changes) as $path) {
            $this->line("Written: {$path}");
        }
        $this->line('The way back: php artisan pusher-server:install --restore');
    }

    private function showNextSteps(BroadcastingConfig $config, EchoLines $echo): void
    {
        if ($config->missingOptions() !== '') {
            $this->warn('config/broadcasting.php does not read these lines. Put into "options" of its connection "pusher":');
            $this->line($config->missingOptions());
        }
        if ($this->option('echo') === null) {
            $this->line("\nLaravel Echo (npm install laravel-echo pusher-js), for resources/js/bootstrap.js or echo.js:\n");
            $this->line($echo->script());
        }
        if ($this->laravel->configurationIsCached()) {
            $this->warn('The configuration is cached, so the new lines do not count yet: php artisan config:cache');
        }
        $this->line('Queue workers still have the old settings: php artisan queue:restart');
        $this->line('See whether an event arrives:             php artisan pusher-server:check');
    }

    private function restore(): int
    {
        foreach ($this->backups()->restore((bool) $this->option('force')) as $path) {
            $this->line("As before: {$path}");
        }
        if ($this->laravel->configurationIsCached()) {
            $this->warn('The configuration is cached: php artisan config:cache');
        }
        $this->line('Queue workers still have the other settings: php artisan queue:restart');

        return self::SUCCESS;
    }

    private function backups(): Backups
    {
        return new Backups($this->laravel->storagePath().'/app/pusher-server-backups');
    }
}
