<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * The number of the channel's subscribers; the app needs the switch `subscription_count`.
 */
class SubscriptionCount extends WebhookEvent
{
    public function __construct(
        string $channel,
        public readonly int $count,
        string $id,
        int $time,
        string $key,
    ) {
        parent::__construct($channel, $id, $time, $key);
    }
}
