<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Console;

use Illuminate\Console\Command;
use Illuminate\Contracts\Broadcasting\Factory as Broadcasting;
use PusherServer\Laravel\Check\BroadcastConnection;
use PusherServer\Laravel\Check\BrowserStep;
use PusherServer\Laravel\Check\CachedEvent;
use PusherServer\Laravel\Check\ChannelsStep;
use PusherServer\Laravel\Check\ConfigurationStep;
use PusherServer\Laravel\Check\ConnectionStep;
use PusherServer\Laravel\Check\Finding;
use PusherServer\Laravel\Check\PublicationStep;
use PusherServer\Laravel\Check\QueueOptions;
use PusherServer\Laravel\Check\QueueStep;
use PusherServer\Laravel\Check\Refusals;
use PusherServer\Laravel\Check\ServerProbe;
use PusherServer\Laravel\Check\Step;
use PusherServer\Laravel\Check\WebhookStep;
use PusherServer\Laravel\Install\BroadcastingConfig;

/**
 * Publishes as Laravel does, and names the first thing that is wrong. Exit status 1 if something is.
 */
class CheckCommand extends Command
{
    protected $signature = 'pusher-server:check
        {--connection= : A connection of config/broadcasting.php; the default is Laravel\'s}
        {--queue-connection= : A connection of config/queue.php; the default is Laravel\'s}
        {--queue= : The queue of your events, if they name one}
        {--wait=10 : Seconds to wait for a queue worker}';

    protected $description = 'Publish an event as Laravel does, and name the first thing that is wrong';

    /** Shorter ones are no secrets, and would hide ordinary words. */
    private const SHORTEST_SECRET = 6;

    public function handle(): int
    {
        $wait = $this->option('wait');
        if (!is_numeric($wait) || $wait <= 0 || $wait > 600) {
            $this->error('--wait is a number of seconds, 600 at most');

            return self::FAILURE;
        }
        $name = $this->option('connection');
        $connection = $name === null
            ? $this->laravel->make(BroadcastConnection::class) // as it was configured when the application started
            : BroadcastConnection::of($this->laravel['config'], $name);
        foreach ($this->steps($connection, (float) $wait) as $step) {
            $finding = $step->run();
            $this->show($step, $finding, $connection->secret());
            if ($finding->mark === Finding::WRONG) {
                return self::FAILURE;
            }
        }

        return self::SUCCESS;
    }

    /**
     * @return array<Step> in the order in which an event passes them
     */
    private function steps(BroadcastConnection $connection, float $wait): array
    {
        $app = $this->laravel;
        $broadcasting = $app->make(Broadcasting::class);
        $refusals = new Refusals($connection);
        $options = new QueueOptions(
            $this->option('queue-connection'),
            $this->option('queue'),
            $this->option('connection'),
            $wait,
            $app->isDownForMaintenance(),
        );
        $databases = $app->bound('db') ? $app['db'] : null;
        $variable = BroadcastingConfig::of($app->configPath(), $app->version())->variable();

        return [
            new ConfigurationStep($app, $connection),
            new ConnectionStep($connection, $variable),
            new PublicationStep($broadcasting, $connection, new ServerProbe($connection), $refusals),
            new QueueStep(
                $app['config'],
                $broadcasting,
                $app['queue'],
                $databases,
                new CachedEvent($connection),
                $refusals,
                $options,
            ),
            new ChannelsStep($app, $app['router'], $broadcasting, $connection),
            new BrowserStep($app, $connection),
            new WebhookStep($app['config'], $app['router']),
        ];
    }

    private function show(Step $step, Finding $finding, string $secret): void
    {
        $lines = ["{$finding->mark} {$step->name()}: {$finding->text}"];
        foreach ($finding->fix as $line) {
            $lines[] = "    {$line}";
        }
        foreach ($lines as $line) {
            if (strlen($secret) >= self::SHORTEST_SECRET) {
                $line = str_replace($secret, '(the secret)', $line);
            }
            // One line for each step, and nothing in a text can style the terminal.
            $this->output->writeln(preg_replace('/[\x00-\x1f\x7f]+/', ' ', $line), $this->output::OUTPUT_RAW);
        }
    }
}
