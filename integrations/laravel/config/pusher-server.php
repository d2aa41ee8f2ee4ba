<?php

// php artisan vendor:publish --tag=pusher-server puts a copy into config/, for what .env cannot say.

return [

    'webhooks' => [
        // The path of the route that takes the server's webhooks, such as "pusher-server/webhooks". Without it there is
        // no route.
        'path' => env('PUSHER_SERVER_WEBHOOK_PATH'),

        // Keys whose signatures are accepted besides those of config/broadcasting.php, as JSON: {"key": "secret"}.
        // While a key is changed, the server signs with the older one until that is removed.
        'keys' => env('PUSHER_SERVER_WEBHOOK_KEYS', '{}'),

        // Bytes of a body. A batch of 100 client events has about a megabyte with the server's default limits.
        'max_bytes' => 4 * 1024 * 1024,

        // Seconds by which a body's time may differ from ours. The server tries an event again for 289 s.
        'tolerance' => 300,

        // The cache in which repeats are recognised; null is the default one. All web servers have to share it.
        'store' => env('PUSHER_SERVER_WEBHOOK_STORE'),

        // Seconds for which the id of an event that was dispatched is kept.
        'remembered' => 86_400,

        // Seconds after which an event is free again whose process died while it was dispatched.
        'claimed' => 60,

        // Middleware of the route. None is needed: no session, no CSRF token.
        'middleware' => [],
    ],

];
