<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

/**
 * One thing that has to be right for an event to arrive.
 */
interface Step
{
    /**
     * The word before the finding.
     */
    public function name(): string;

    public function run(): Finding;
}
