<?php

namespace App\Database;

use Illuminate\Database\SQLiteConnection;

/**
 * SQLite whose transactions wait for other processes.
 *
 * The worker reads a job and then updates it. SQLite refuses that at once, as "database is locked", if a request writes
 * between both: 2 of 300 jobs in a trial. One that begins as a writer waits instead. Laravel 12 has it as
 * 'transaction_mode' => 'IMMEDIATE'.
 */
class ImmediateSqliteConnection extends SQLiteConnection
{
    protected function createTransaction()
    {
        $outermost = $this->transactions === 0;
        parent::createTransaction();
        if ($outermost) {
            $this->getPdo()->exec('PRAGMA user_version = 0'); // a write: PDO knows no BEGIN IMMEDIATE
        }
    }
}
