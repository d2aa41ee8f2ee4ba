<?php

namespace App\Providers;

use Illuminate\Foundation\Support\Providers\RouteServiceProvider as ServiceProvider;
use Illuminate\Support\Facades\Route;

class RouteServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->routes(function () {
            foreach (['routes/api.php', 'routes/user.php'] as $file) {
                Route::prefix('api')->middleware('api')->group(base_path($file));
            }
        });
    }
}
