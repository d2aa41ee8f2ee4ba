<?php

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up(): void
    {
        Schema::create('users', function (Blueprint $table) {
            $table->id();
            $table->string('name');
            $table->string('email')->unique();
            $table->string('api_token', 64)->unique(); // its SHA-256
            $table->timestamps();
        });
        Schema::create('chat_sessions', function (Blueprint $table) {
            $table->id();
            $table->string('title');
            $table->timestamps();
        });
        Schema::create('participants', function (Blueprint $table) {
            $table->foreignId('session_id')->constrained('chat_sessions');
            $table->foreignId('user_id')->constrained();
        });
        Schema::create('comments', function (Blueprint $table) {
            $table->id();
            $table->foreignId('session_id')->constrained('chat_sessions');
            $table->foreignId('user_id')->constrained();
            $table->text('content');
            $table->timestamps();
        });
    }
};
