<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

/**
 * Which queue the check uses, and how many seconds it waits for a worker. Null is Laravel's default.
 */
final class QueueOptions
{
    public function __construct(
        public readonly ?string $connection,
        public readonly ?string $queue,
        public readonly ?string $broadcaster,
        public readonly float $wait,
        public readonly bool $maintenance = false,
    ) {
    }
}
