<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Routing\Router;
use PusherServer\Laravel\PusherServerServiceProvider;
use PusherServer\Laravel\Webhooks\Credentials;

/**
 * Whether webhooks would be taken, if a path for them is set.
 */
final class WebhookStep implements Step
{
    public function __construct(private readonly Config $config, private readonly Router $router)
    {
    }

    public function name(): string
    {
        return 'Webhooks';
    }

    public function run(): Finding
    {
        $path = trim((string) $this->config->get('pusher-server.webhooks.path'), '/');
        if ($path === '') {
            return Finding::unknown('Off: .env has no PUSHER_SERVER_WEBHOOK_PATH');
        }
        if (Credentials::more($this->config) === null) {
            return Finding::wrong(
                'PUSHER_SERVER_WEBHOOK_KEYS is no JSON object',
                'PUSHER_SERVER_WEBHOOK_KEYS=\'{"key": "secret"}\'',
            );
        }
        $route = $this->router->getRoutes()->getByName(PusherServerServiceProvider::WEBHOOK_ROUTE);
        if ($route === null || $route->uri() !== $path) {
            return Finding::wrong("The route /{$path} is missing in the cached routes", 'php artisan route:cache');
        }
        if (Credentials::of($this->config)->isEmpty()) {
            return Finding::wrong('No key is known, so every webhook is refused', 'php artisan pusher-server:install');
        }
        $store = $this->config->get('pusher-server.webhooks.store') ?? $this->config->get('cache.default');
        if (in_array($this->config->get("cache.stores.{$store}.driver"), ['array', 'null', null], true)) {
            return Finding::wrong(
                "The cache \"{$store}\" forgets with each request, so repeats are dispatched again",
                'PUSHER_SERVER_WEBHOOK_STORE=file',
            );
        }

        return Finding::right("POST /{$path}: put its whole URL into the server's [[apps.webhooks]]");
    }
}
