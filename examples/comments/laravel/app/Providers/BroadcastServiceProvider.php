<?php

namespace App\Providers;

use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\ServiceProvider;

/**
 * Laravel 10 and older. The file exists in every such application, but the provider is
 * commented out in config/app.php: enable it there.
 *
 * Laravel 11 and newer: see bootstrap/app.php instead.
 */
class BroadcastServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        // Without this middleware the route is in the "web" group, which looks for a session cookie:
        // a mobile app with a bearer token is nobody there, and gets 403.
        // With 'prefix' => 'api' in this array the route becomes /api/broadcasting/auth.
        Broadcast::routes(['middleware' => ['auth:sanctum']]);

        require base_path('routes/channels.php');
    }
}
