<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Database\ConnectionResolverInterface as Databases;
use Illuminate\Database\Query\Builder;
use Throwable;

/**
 * The check's own job, looked up in the tables of the queue and of failed jobs, where these are in a database.
 *
 * Of each table the latest rows are read, because an index on what a job contains does not exist.
 */
final class QueuedJob
{
    private const LATEST = 200;

    /**
     * @param  array<string, mixed>  $queue  the queue's connection in config/queue.php
     */
    public function __construct(
        private readonly Databases $databases,
        private readonly Config $config,
        private readonly array $queue,
        private readonly string $mark,
    ) {
    }

    /**
     * "waiting", "taken" by a worker, "gone", or null if the queue is in no database.
     */
    public function state(): ?string
    {
        if (($this->queue['driver'] ?? null) !== 'database') {
            return null;
        }
        $row = $this->row($this->jobs());

        return $row === null ? 'gone' : (($row->reserved_at ?? null) === null ? 'waiting' : 'taken');
    }

    /**
     * The first line of the exception by which it has failed; null if it has not, or if that is kept elsewhere.
     */
    public function failure(): ?string
    {
        try {
            $failed = $this->failedJobs();
            $row = $failed === null ? null : $this->row($failed);
        } catch (Throwable) { // no such table: then nobody keeps failed jobs
            return null;
        }

        return $row === null ? null : strtok((string) $row->exception, "\n");
    }

    /**
     * Leave nothing behind: the row of the job, and of its failure.
     */
    public function remove(): void
    {
        try {
            $jobs = ($this->queue['driver'] ?? null) === 'database' ? $this->jobs() : null;
            foreach ([$jobs, $this->failedJobs()] as $table) {
                $row = $table === null ? null : $this->row(clone $table);
                if ($row !== null && ($row->reserved_at ?? null) === null) {
                    $table->where('id', $row->id)->delete();
                }
            }
        } catch (Throwable) { // what stays is a job that publishes one more event to nobody
        }
    }

    private function jobs(): Builder
    {
        return $this->databases->connection($this->queue['connection'] ?? null)->table($this->queue['table'] ?? 'jobs');
    }

    private function failedJobs(): ?Builder
    {
        $failed = (array) $this->config->get('queue.failed', []);
        if (!str_starts_with((string) ($failed['driver'] ?? 'database'), 'database')) {
            return null;
        }

        return $this->databases->connection($failed['database'] ?? null)->table($failed['table'] ?? 'failed_jobs');
    }

    private function row(Builder $table): ?object
    {
        return (clone $table)->orderByDesc('id')->limit(self::LATEST)->get()
            ->first(fn (object $row): bool => str_contains((string) $row->payload, $this->mark));
    }
}
