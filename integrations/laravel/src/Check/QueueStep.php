<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Contracts\Broadcasting\Factory as Broadcasting;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Queue\Factory as Queues;
use Illuminate\Database\ConnectionResolverInterface as Databases;
use Throwable;

/**
 * Sends an event through the queue, as `ShouldBroadcast` does, and looks for it on the server.
 *
 * That is the only proof of a worker that every kind of queue has: the event arrives, published by the worker with the
 * worker's settings.
 */
final class QueueStep implements Step
{
    private const POLL_MICROSECONDS = 100_000;

    /** A worker publishes before it deletes the job, and records a failure right after. */
    private const GRACE_NANOSECONDS = 2_000_000_000;

    private const WITHOUT_WORKER = ['sync', 'deferred', 'background'];

    public function __construct(
        private readonly Config $config,
        private readonly Broadcasting $broadcasting,
        private readonly Queues $queues,
        private readonly ?Databases $databases,
        private readonly CachedEvent $cached,
        private readonly Refusals $refusals,
        private readonly QueueOptions $options,
    ) {
    }

    public function name(): string
    {
        return 'Queue';
    }

    public function run(): Finding
    {
        $name = $this->options->connection ?? (string) ($this->config->get('queue.default') ?? 'null');
        $queue = $this->config->get("queue.connections.{$name}") ?? ($name === 'null' ? ['driver' => 'null'] : null);
        $driver = is_array($queue) ? ($queue['driver'] ?? '') : '';
        if ($driver === '') {
            return Finding::wrong("config/queue.php has no connection \"{$name}\"", 'QUEUE_CONNECTION=database');
        }
        if (in_array($driver, self::WITHOUT_WORKER, true)) {
            return Finding::right("\"{$name}\" needs no worker: events are sent by the process that broadcasts them");
        }
        if ($driver === 'null') {
            return Finding::wrong(
                "The queue \"{$name}\" drops every job, so no event is ever sent",
                'QUEUE_CONNECTION=database',
            );
        }
        $event = new CheckEvent($name, $this->options->queue, $this->options->broadcaster);
        if ($this->cached->isThere($event->channelName()) === null) {
            return Finding::unknown(
                "Whether a worker serves \"{$name}\" cannot be seen: the server does not show the cache of a channel",
            );
        }
        try {
            $this->broadcasting->queue($event);
        } catch (Throwable $error) {
            return $this->refusedJob($name, $driver, $error);
        }
        $job = $this->databases === null
            ? null
            : new QueuedJob($this->databases, $this->config, $queue, $event->checkId);
        try {
            return $this->outcome($name, $event, $job);
        } finally {
            $job?->remove();
        }
    }

    private function outcome(string $name, CheckEvent $event, ?QueuedJob $job): Finding
    {
        $start = hrtime(true);
        $end = $start + (int) ($this->options->wait * 1e9);
        $state = null;
        do {
            if ($this->cached->isThere($event->channelName()) === true) {
                $seconds = (hrtime(true) - $start) / 1e9;

                return Finding::right(sprintf('A worker of "%s" has sent an event within %.1f s', $name, $seconds));
            }
            if (($failure = $job?->failure()) !== null) {
                return $this->failed($failure);
            }
            if ($state !== 'gone' && ($state = $job?->state()) === 'gone') {
                $end = min($end, hrtime(true) + self::GRACE_NANOSECONDS);
            }
            usleep(self::POLL_MICROSECONDS);
        } while (hrtime(true) < $end);

        return $this->missing($name, $state);
    }

    private function failed(string $failure): Finding
    {
        $cause = $this->refusals->read($failure)?->text ?? mb_substr($failure, 0, 300);

        return Finding::wrong(
            "A worker took the job and failed; it may have old settings. {$cause}",
            'php artisan queue:restart',
            'php artisan queue:failed',
        );
    }

    private function missing(string $name, ?string $state): Finding
    {
        $queue = $this->options->queue;
        $waiting = $state === null ? $this->size($name) : null;
        $work = "php artisan queue:work {$name}".($queue === null ? '' : " --queue={$queue}")
            .' --sleep=0.1 --tries=5 --backoff=1';
        $seconds = "{$this->options->wait} s";
        if ($this->options->maintenance) {
            return Finding::wrong(
                'The application is in maintenance mode, in which workers take no jobs',
                'php artisan up',
            );
        }
        if ($state === 'taken') {
            return Finding::wrong(
                "A worker took the job, but has not finished it within {$seconds}",
                'php artisan queue:restart',
            );
        }
        if ($state === 'waiting' || $waiting > 0) {
            $jobs = $waiting > 0 ? " ({$waiting} jobs wait)" : '';

            return Finding::wrong("No worker took the job from \"{$name}\" within {$seconds}{$jobs}", $work);
        }

        return Finding::wrong(
            "The job left \"{$name}\", but its event did not arrive here: the worker has other settings, or other code",
            'php artisan queue:restart',
            'php artisan queue:failed',
        );
    }

    private function size(string $name): int
    {
        try {
            return (int) $this->queues->connection($name)->size($this->options->queue);
        } catch (Throwable) {
            return 0;
        }
    }

    private function refusedJob(string $name, string $driver, Throwable $error): Finding
    {
        $text = mb_substr((string) strtok($error->getMessage(), "\n"), 0, 200);
        $fix = $driver === 'database'
            ? ['php artisan queue:table && php artisan migrate   # Laravel 11 and newer: make:queue-table']
            : ["look at the connection \"{$name}\" in config/queue.php"];

        return Finding::wrong("The queue \"{$name}\" does not take a job: {$text}", ...$fix);
    }
}
