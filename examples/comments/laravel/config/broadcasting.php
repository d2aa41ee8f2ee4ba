<?php

return [

    // Laravel 11 and newer read BROADCAST_CONNECTION, Laravel 10 BROADCAST_DRIVER.
    'default' => env('BROADCAST_CONNECTION', env('BROADCAST_DRIVER', 'null')),

    'connections' => [

        'pusher' => [
            'driver' => 'pusher',
            'key' => env('PUSHER_APP_KEY'),
            'secret' => env('PUSHER_APP_SECRET'),
            'app_id' => env('PUSHER_APP_ID'),
            'options' => [
                'cluster' => env('PUSHER_APP_CLUSTER', 'mt1'), // unused once there is a host
                'host' => env('PUSHER_HOST', '127.0.0.1'),
                'port' => env('PUSHER_PORT', 6001),
                'scheme' => env('PUSHER_SCHEME', 'http'),
                'useTLS' => env('PUSHER_SCHEME', 'http') === 'https',
                // Seconds for a request. It must stand here: pusher-php-server sets its own 30 s
                // over a timeout in client_options, and a hung server would hold the worker so long.
                'timeout' => 5,
                // Only for a server below a path, behind a proxy. With the last slash, or Guzzle
                // drops the path; pusher-php-server up to version 5 wants '/ws' without it.
                // 'path' => '/ws/',
            ],
            'client_options' => [
                'connect_timeout' => 2, // Guzzle's, seconds
            ],
        ],

        'log' => [
            'driver' => 'log',
        ],

        'null' => [
            'driver' => 'null',
        ],

    ],

];
