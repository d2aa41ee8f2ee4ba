<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * The first connection of a user has joined the presence channel.
 */
class MemberAdded extends WebhookEvent
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
