<?php

/*
| Classes without Composer. Debian's packages bring the framework and Guzzle on PHP's include path; LARAVEL_AUTOLOAD
| names a vendor/autoload.php instead. Then come the application, for what neither has the stand-ins, and the packages of
| vendor/composer/installed.json, in which Laravel, too, looks for packages.
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
    $composer = dirname(__DIR__).'/vendor/composer';
    $installed = is_file("{$composer}/installed.json") ? file_get_contents("{$composer}/installed.json") : '{"packages": []}';
    foreach (json_decode($installed, true)['packages'] as $package) {
        foreach ($package['autoload']['psr-4'] + $package['autoload-dev']['psr-4'] as $prefix => $folder) {
            $folders[$prefix] = "vendor/composer/{$package['install-path']}/{$folder}";
        }
    }
    uksort($folders, fn (string $one, string $other): int => strlen($other) <=> strlen($one));
    foreach ($folders as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            $name = str_replace('\\', '/', substr($class, strlen($prefix)));
            $file = dirname(__DIR__)."/{$folder}{$name}.php";
            if (is_file($file)) {
                require $file;

                return;
            }
        }
    }
});
