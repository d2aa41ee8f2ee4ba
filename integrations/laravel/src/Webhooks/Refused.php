<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Webhooks;

use RuntimeException;

/**
 * A webhook is not taken. The text is for the server's delivery log, which shows its beginning.
 */
class Refused extends RuntimeException
{
    public function __construct(public readonly int $status, string $message)
    {
        parent::__construct($message);
    }
}
