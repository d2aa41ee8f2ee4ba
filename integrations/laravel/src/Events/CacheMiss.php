<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Events;

/**
 * Somebody has subscribed to a cache channel that holds nothing: publish its current value.
 */
class CacheMiss extends WebhookEvent
{
}
