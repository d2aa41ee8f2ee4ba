<?php

namespace App\Providers;

use Illuminate\Support\Facades\Event;
use Illuminate\Support\ServiceProvider;
use PusherServer\Laravel\Events\WebhookEvent;
use RuntimeException;

/**
 * Writes each event of a webhook as a line of JSON; fails once for the channel that a file names.
 */
class WebhookRecorder extends ServiceProvider
{
    public function boot(): void
    {
        Event::listen('PusherServer\Laravel\Events\*', function (string $name, array $arguments): void {
            $event = $arguments[0];
            $failing = storage_path('fails-once');
            if (is_file($failing) && file_get_contents($failing) === $event->channel) {
                unlink($failing);
                throw new RuntimeException('A listener that fails once');
            }
            $line = ['class' => class_basename($event), 'is_webhook' => $event instanceof WebhookEvent] + get_object_vars($event);
            file_put_contents(storage_path('webhooks.jsonl'), json_encode($line)."\n", FILE_APPEND | LOCK_EX);
        });
    }
}
