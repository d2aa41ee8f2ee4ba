<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * The last connection of a user has left the presence channel, and stayed so.
 */
class MemberRemoved extends WebhookEvent
{
    public function __construct(
        string $channel,
        public readonly string $userId,
        string $id,
        int $time,
        string $key,
    ) {
        parent::__construct($channel, $id, $time, $key);
    }
}
