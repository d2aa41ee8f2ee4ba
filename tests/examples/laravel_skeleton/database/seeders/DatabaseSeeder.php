<?php

namespace Database\Seeders;

use App\Models\Session;
use App\Models\User;
use Illuminate\Database\Seeder;

/**
 * The people and sessions of the stand-in backend. Chloé is not in session 1: she must be refused there.
 */
class DatabaseSeeder extends Seeder
{
    public function run(): void
    {
        [$amina, $bruno, $chloe] = array_map($this->user(...), ['Amina Diallo', 'Bruno Martin', 'Chloé Petit']);
        Session::create(['title' => 'Sprint review'])->participants()->attach([$amina, $bruno]);
        Session::create(['title' => 'Design workshop'])->participants()->attach([$amina, $bruno, $chloe]);
    }

    /**
     * A user whose token is "token-of-" and the first name in ASCII letters. Returns the id.
     */
    private function user(string $name): int
    {
        $first = str_replace('é', 'e', strtolower(explode(' ', $name)[0]));

        return User::create([
            'name' => $name,
            'email' => "{$first}@example.com",
            'api_token' => hash('sha256', "token-of-{$first}"),
        ])->id;
    }
}
