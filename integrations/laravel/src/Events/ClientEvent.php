<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * A client event (Echo's `whisper`) was accepted.
 *
 * `$data` is what the other clients got: text, JSON as a rule. `$userId` is null except on presence channels. A client
 * has written `$event` and `$data`: check them like any input.
 */
class ClientEvent extends WebhookEvent
{
    public function __construct(
        string $channel,
        public readonly string $event,
        public readonly string $data,
        public readonly string $socketId,
        public readonly ?string $userId,
        string $id,
        int $time,
        string $key,
    ) {
        parent::__construct($channel, $id, $time, $key);
    }

    /**
     * The data decoded, objects as arrays; null if it is no JSON.
     */
    public function decoded(): mixed
    {
        return json_decode($this->data, true);
    }
}
