<?php

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\BelongsToMany;
use Illuminate\Database\Eloquent\Relations\HasMany;

class Session extends Model
{
    // Laravel's own sessions have the table "sessions".
    protected $table = 'chat_sessions';

    protected $fillable = ['title'];

    public function comments(): HasMany
    {
        return $this->hasMany(Comment::class);
    }

    public function participants(): BelongsToMany
    {
        return $this->belongsToMany(User::class, 'participants');
    }
}
