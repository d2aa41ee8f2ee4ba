<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Broadcasting\Channel;
use Illuminate\Contracts\Broadcasting\Factory;
use Throwable;

/**
 * Publishes an event with Laravel's own broadcaster, and names the cause if the server does not take it.
 */
final class PublicationStep implements Step
{
    /** Nobody subscribes to it. */
    private const CHANNEL = 'pusher-server-check';

    public function __construct(
        private readonly Factory $broadcasting,
        private readonly BroadcastConnection $connection,
        private readonly ServerProbe $probe,
        private readonly Refusals $refusals,
    ) {
    }

    public function name(): string
    {
        return 'Publication';
    }

    public function run(): Finding
    {
        $unreachable = $this->probe->unreachable();
        if ($unreachable !== null && !$this->connection->hasDetour()) {
            return $unreachable;
        }
        $start = hrtime(true);
        try {
            $this->broadcasting->connection($this->connection->name)
                ->broadcast([new Channel(self::CHANNEL)], 'pusher-server-check', ['sent' => time()]);
        } catch (Throwable $error) {
            return $this->cause($error->getMessage(), $unreachable);
        }
        $milliseconds = intdiv(hrtime(true) - $start, 1_000_000);

        return Finding::right("The server took an event within {$milliseconds} ms");
    }

    private function cause(string $text, ?Finding $unreachable): Finding
    {
        $cause = $this->refusals->read($text) ?? $unreachable ?? $this->probe->foreign();
        if ($cause !== null) {
            return $cause;
        }
        if ($this->connection->hasDetour()) {
            return Finding::wrong(
                'The event did not get through a proxy (HTTP_PROXY, HTTPS_PROXY or client_options): '.$this->shortened($text),
                "export NO_PROXY={$this->connection->host()}",
            );
        }
        if (preg_match('/timed out|error 28/i', $text) === 1) {
            return Finding::wrong(
                'The server accepts the connection, but does not answer in time',
                'look into the log of the server',
            );
        }
        if (preg_match('/Not found|\b404\b/i', $text) === 1) {
            return Finding::wrong(
                'The server does not know the path of the request',
                "'path' => '{$this->connection->path()}/',   // options in config/broadcasting.php, with the last slash",
            );
        }

        return Finding::wrong(
            'The event could not be published: '.$this->shortened($text),
            'look into the log of the server',
        );
    }

    private function shortened(string $text): string
    {
        return mb_substr(trim($text), 0, 300);
    }
}
