<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Install;

use RuntimeException;

/**
 * An answer or a file cannot be used; the message names it and says what to do. It has no secret.
 */
class InvalidInput extends RuntimeException
{
}
