<?php

namespace App\Http;

use Illuminate\Auth\Middleware\Authenticate;
use Illuminate\Foundation\Http\Kernel as FrameworkKernel;
use Illuminate\Routing\Middleware\SubstituteBindings;

class Kernel extends FrameworkKernel
{
    protected $middlewareGroups = ['api' => [SubstituteBindings::class]];

    protected $routeMiddleware = ['auth' => Authenticate::class];
}
