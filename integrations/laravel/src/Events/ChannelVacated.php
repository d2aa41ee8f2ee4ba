<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * The last connection of the channel is gone, and stayed so.
 */
class ChannelVacated extends WebhookEvent
{
}
