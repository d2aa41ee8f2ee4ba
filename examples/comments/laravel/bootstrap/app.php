<?php

// Laravel 11 and newer: what is new is the call of withBroadcasting(). It does what
// "php artisan install:broadcasting" does, but for bearer tokens.
// Laravel 10: see app/Providers/BroadcastServiceProvider.php instead.

use Illuminate\Foundation\Application;
use Illuminate\Foundation\Configuration\Exceptions;
use Illuminate\Foundation\Configuration\Middleware;

return Application::configure(basePath: dirname(__DIR__))
    ->withRouting(
        web: __DIR__.'/../routes/web.php',
        api: __DIR__.'/../routes/api.php',
        commands: __DIR__.'/../routes/console.php',
        // No "channels:" here: it would put /broadcasting/auth into the "web" group, which looks for
        // a session cookie. A mobile app has a bearer token, and gets 403 there.
        health: '/up',
    )
    ->withBroadcasting(
        __DIR__.'/../routes/channels.php',
        // With 'prefix' => 'api' the route becomes /api/broadcasting/auth.
        ['middleware' => ['auth:sanctum']],
    )
    ->withMiddleware(function (Middleware $middleware) {
        //
    })
    ->withExceptions(function (Exceptions $exceptions) {
        //
    })->create();
