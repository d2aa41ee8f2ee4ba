<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Broadcasting\Channel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;

/**
 * The event that the check sends through the queue. Its channel has a cache, where the check looks for it.
 */
class CheckEvent implements ShouldBroadcast
{
    /** Tried once, whatever the worker's options say, so that a failure is seen at once. */
    public int $tries = 1;

    public string $checkId;

    public ?string $connection;

    public ?string $broadcastQueue;

    /**
     * @param  string|null  $broadcaster  null is the worker's default connection
     */
    public function __construct(string $queueConnection, ?string $queue, private ?string $broadcaster)
    {
        $this->checkId = bin2hex(random_bytes(8));
        $this->connection = $queueConnection;
        $this->broadcastQueue = $queue;
    }

    public function channelName(): string
    {
        return "cache-pusher-server-check-{$this->checkId}";
    }

    public function broadcastOn(): Channel
    {
        return new Channel($this->channelName());
    }

    public function broadcastAs(): string
    {
        return 'pusher-server-check';
    }

    /**
     * @return array<string, string>
     */
    public function broadcastWith(): array
    {
        return ['id' => $this->checkId];
    }

    /**
     * @return array<string|null>
     */
    public function broadcastConnections(): array
    {
        return [$this->broadcaster];
    }
}
