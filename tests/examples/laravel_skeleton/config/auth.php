<?php

return [
    'defaults' => ['guard' => 'sanctum'],

    // Stand-in for Laravel Sanctum: the framework's own token guard, under the name that the example's files use.
    'guards' => [
        'sanctum' => ['driver' => 'token', 'provider' => 'users', 'hash' => true],
    ],

    'providers' => [
        'users' => ['driver' => 'eloquent', 'model' => App\Models\User::class],
    ],
];
