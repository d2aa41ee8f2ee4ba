<?php

use App\Models\Session;
use App\Models\User;
use Illuminate\Support\Facades\Broadcast;

/*
| Who may listen. The names stand without "private-" and "presence-": Laravel adds them.
| "php artisan channel:list" shows what is registered.
*/

// Comments of a session: participants only. An unknown session is refused as well.
Broadcast::channel('session.{session}', function (User $user, Session $session): bool {
    return $session->participants()->whereKey($user->getKey())->exists();
});

// Who is online: every signed-in user. What is returned here is what the others see.
Broadcast::channel('online-users', function (User $user): array {
    return ['id' => $user->id, 'name' => $user->name];
});
