<?php

// routes/api.php is the example's. An application has this route, too.

use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;

Route::middleware('auth:sanctum')->get('user', fn (Request $request) => $request->user());
