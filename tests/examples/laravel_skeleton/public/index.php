<?php

// Every request of `php -S` comes here: there are no static files.

use Illuminate\Contracts\Http\Kernel;
use Illuminate\Http\Request;

require dirname(__DIR__).'/bootstrap/autoload.php';

$kernel = (require dirname(__DIR__).'/bootstrap/app.php')->make(Kernel::class);
$request = Request::capture();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
