<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Webhooks;

use PusherServer\Laravel\Events\CacheMiss;
use PusherServer\Laravel\Events\ChannelOccupied;
use PusherServer\Laravel\Events\ChannelVacated;
use PusherServer\Laravel\Events\ClientEvent;
use PusherServer\Laravel\Events\MemberAdded;
use PusherServer\Laravel\Events\MemberRemoved;
use PusherServer\Laravel\Events\SubscriptionCount;
use PusherServer\Laravel\Events\WebhookEvent;

/**
 * Makes Laravel events of one webhook's body.
 */
final class EventReader
{
    public function __construct(private readonly int $time, private readonly string $key)
    {
    }

    /**
     * The event; null if its name is not known here, which a newer server may send.
     *
     * @throws Refused if a field is missing or of another type
     */
    public function read(mixed $event, string $id): ?WebhookEvent
    {
        if (!is_array($event)) {
            throw new Refused(400, 'An event is no JSON object');
        }
        $text = fn (string $name): string => $this->text($event, $name);
        $from = [$id, $this->time, $this->key];

        return match ($text('name')) {
            'channel_occupied' => new ChannelOccupied($text('channel'), ...$from),
            'channel_vacated' => new ChannelVacated($text('channel'), ...$from),
            'member_added' => new MemberAdded($text('channel'), $text('user_id'), ...$from),
            'member_removed' => new MemberRemoved($text('channel'), $text('user_id'), ...$from),
            'client_event' => new ClientEvent(
                $text('channel'),
                $text('event'),
                $text('data'),
                $text('socket_id'),
                isset($event['user_id']) ? $text('user_id') : null,
                ...$from,
            ),
            'cache_miss' => new CacheMiss($text('channel'), ...$from),
            'subscription_count' => new SubscriptionCount($text('channel'), $this->count($event), ...$from),
            default => null,
        };
    }

    /**
     * @param  array<mixed>  $event
     */
    private function text(array $event, string $name): string
    {
        if (!is_string($event[$name] ?? null)) {
            throw new Refused(400, "An event has no text {$name}");
        }

        return $event[$name];
    }

    /**
     * @param  array<mixed>  $event
     */
    private function count(array $event): int
    {
        if (!is_int($event['subscription_count'] ?? null)) {
            throw new Refused(400, 'An event has no number subscription_count');
        }

        return $event['subscription_count'];
    }
}
