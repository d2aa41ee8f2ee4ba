<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

use Closure;
use Illuminate\Broadcasting\BroadcastController;
use Illuminate\Contracts\Broadcasting\Factory as Broadcasting;
use Illuminate\Contracts\Foundation\Application;
use Illuminate\Contracts\Foundation\CachesRoutes;
use Illuminate\Routing\Route;
use Illuminate\Routing\Router;
use Throwable;

/**
 * Whether clients can be let into private and presence channels: the rules are loaded, and the route is there.
 */
final class ChannelsStep implements Step
{
    public function __construct(
        private readonly Application $app,
        private readonly Router $router,
        private readonly Broadcasting $broadcasting,
        private readonly BroadcastConnection $connection,
    ) {
    }

    public function name(): string
    {
        return 'Channels';
    }

    public function run(): Finding
    {
        $route = $this->route();
        $rules = $this->rules();
        $file = $this->app->basePath('routes/channels.php');
        if ($route === null && ($rules > 0 || is_file($file))) {
            if ($this->app instanceof CachesRoutes && $this->app->routesAreCached()) {
                return Finding::wrong(
                    'The route /broadcasting/auth is missing in the cached routes',
                    'php artisan route:clear',
                );
            }

            return Finding::wrong(
                'The route /broadcasting/auth is missing: no client gets into a private channel',
                ...$this->registration(),
            );
        }
        if ($rules === 0 && is_file($file) && str_contains((string) file_get_contents($file), 'Broadcast::channel')) {
            return Finding::wrong(
                'The rules of routes/channels.php are not loaded: every client is refused',
                ...$this->registration(),
            );
        }
        if ($rules === 0) {
            return Finding::unknown('There are no rules for private and presence channels: only public ones work');
        }

        return Finding::right("{$rules} rule(s) for channels, asked at /".ltrim($route->uri(), '/'));
    }

    /**
     * @return array<string>
     */
    private function registration(): array
    {
        if (version_compare($this->app->version(), '11', '>=')) {
            return ["->withBroadcasting(__DIR__.'/../routes/channels.php')   // bootstrap/app.php, behind withRouting(...)"];
        }

        return ['App\Providers\BroadcastServiceProvider::class,   // "providers" in config/app.php'];
    }

    private function route(): ?Route
    {
        foreach ($this->router->getRoutes()->getRoutes() as $route) {
            $action = ltrim($route->getActionName(), '\\');
            $ours = $action === BroadcastController::class.'@authenticate';
            if ($ours || str_ends_with($route->uri(), 'broadcasting/auth')) {
                return $route;
            }
        }

        return null;
    }

    /**
     * The number of rules that the broadcaster has. Laravel 8 and 9 have no method for it.
     */
    private function rules(): int
    {
        try {
            $broadcaster = $this->broadcasting->connection($this->connection->name);

            return count((array) Closure::bind(fn () => $this->channels ?? [], $broadcaster, $broadcaster)());
        } catch (Throwable) {
            return 0;
        }
    }
}
