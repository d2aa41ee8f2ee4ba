<?php

namespace Pusher;

use RuntimeException;

/**
 * The server could not be reached, or refused a request. Its presence also makes Laravel's broadcaster call `trigger`
 * as version 5 and newer of the library want it.
 */
class ApiErrorException extends RuntimeException
{
}
