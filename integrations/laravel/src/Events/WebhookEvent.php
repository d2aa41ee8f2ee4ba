<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * Something that the server announced by a webhook.
 *
 * `$id` is the same however often the event is sent; "" if the sender gives none. `$time` is when the body was made, in
 * milliseconds since 1970. `$key` is the app's key that signed it.
 */
abstract class WebhookEvent
{
    public function __construct(
        public readonly string $channel,
        public readonly string $id,
        public readonly int $time,
        public readonly string $key,
    ) {
    }
}
