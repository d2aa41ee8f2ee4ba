<?php

/*
| Classes without Composer. Debian's packages bring the framework and Guzzle on PHP's include path; LARAVEL_AUTOLOAD
| names a vendor/autoload.php instead. Then come the application and, for what neither has, the stand-ins.
*/

if ($composer = getenv('LARAVEL_AUTOLOAD')) {
    require $composer;
} else {
    require 'Illuminate/autoload.php';
    require 'GuzzleHttp/autoload.php';
}

spl_autoload_register(function (string $class): void {
    $folders = [
        'App\\' => 'app/',
        'Database\\Seeders\\' => 'database/seeders/',
        'Pusher\\' => 'stand_ins/Pusher/',
        'Illuminate\\Contracts\\Events\\' => 'stand_ins/',
    ];
    foreach ($folders as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            $name = str_replace('\\', '/', substr($class, strlen($prefix)));
            $file = dirname(__DIR__)."/{$folder}{$name}.php";
            if (is_file($file)) {
                require $file;
            }
        }
    }
});
