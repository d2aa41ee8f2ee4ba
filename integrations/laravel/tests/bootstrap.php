<?php

declare(strict_types=1);

// Composer's autoloader if the package was installed by itself, or that of the application that has the package.
require getenv('PUSHER_SERVER_AUTOLOAD') ?: dirname(__DIR__).'/vendor/autoload.php';
