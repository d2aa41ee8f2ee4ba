<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * The first connection has subscribed to the channel.
 */
class ChannelOccupied extends WebhookEvent
{
}
