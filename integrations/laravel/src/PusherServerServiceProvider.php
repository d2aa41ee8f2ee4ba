<?php

declare(strict_types=1);

namespace PusherServer\Laravel;

use Illuminate\Contracts\Cache\Factory as CacheFactory;
use Illuminate\Contracts\Foundation\CachesRoutes;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use PusherServer\Laravel\Check\BroadcastConnection;
use PusherServer\Laravel\Check\ConnectionStep;
use PusherServer\Laravel\Check\Finding;
use PusherServer\Laravel\Console\CheckCommand;
use PusherServer\Laravel\Console\InstallCommand;
use PusherServer\Laravel\Webhooks\Credentials;
use PusherServer\Laravel\Webhooks\Dispatched;
use PusherServer\Laravel\Webhooks\WebhookController;

/**
 * Two commands, and the route for webhooks if it has a path.
 */
class PusherServerServiceProvider extends ServiceProvider
{
    public const WEBHOOK_ROUTE = 'pusher-server.webhooks';

    private const COMMANDS = ['pusher-server:check', 'pusher-server:install'];

    private const CONFIG = __DIR__.'/../config/pusher-server.php';

    public function register(): void
    {
        $this->mergeConfigFrom(self::CONFIG, 'pusher-server');
        $this->app->bind(Credentials::class, fn ($app) => Credentials::of($app['config']));
        $this->app->bind(Dispatched::class, fn ($app) => new Dispatched(
            $app->make(CacheFactory::class)->store($app['config']['pusher-server.webhooks.store']),
            (int) $app['config']->get('pusher-server.webhooks.remembered', 86_400),
            (int) $app['config']->get('pusher-server.webhooks.claimed', 60),
        ));
        $this->app->instance(BroadcastConnection::class, BroadcastConnection::of($this->app['config']));
        if ($this->app->runningInConsole() && array_intersect(self::COMMANDS, $_SERVER['argv'] ?? []) !== []) {
            $this->surviveWrongConnection();
        }
    }

    /**
     * `routes/channels.php` makes the default connection. If that cannot be made, every command ends with an exception,
     * and so would those that name or mend it. For them alone the application starts without broadcasts.
     */
    private function surviveWrongConnection(): void
    {
        $step = new ConnectionStep($this->app->make(BroadcastConnection::class), '');
        if ($step->run()->mark === Finding::WRONG) {
            $this->app['config']->set('broadcasting.default', 'null');
        }
    }

    public function boot(): void
    {
        if ($this->app->runningInConsole()) {
            $this->commands([InstallCommand::class, CheckCommand::class]);
            $this->publishes([self::CONFIG => $this->app->configPath('pusher-server.php')], 'pusher-server');
        }
        $path = trim((string) $this->app['config']['pusher-server.webhooks.path'], '/');
        $cached = $this->app instanceof CachesRoutes && $this->app->routesAreCached();
        if ($path !== '' && !$cached) {
            Route::post($path, WebhookController::class)
                ->middleware((array) $this->app['config']->get('pusher-server.webhooks.middleware', []))
                ->name(self::WEBHOOK_ROUTE);
        }
    }
}
