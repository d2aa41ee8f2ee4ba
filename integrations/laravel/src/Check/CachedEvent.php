<?php

declare(strict_types=1);

namespace PusherServer\Laravel\Check;

/**
 * Looks into the cache of a channel on the server, by a signed `GET /apps/{id}/channels/{name}?info=cache`.
 */
final class CachedEvent
{
    private const TIMEOUT = 3.0;

    public function __construct(private readonly BroadcastConnection $connection)
    {
    }

    /**
     * Whether the channel's cache holds an event; null if the server does not say.
     */
    public function isThere(string $channel): ?bool
    {
        $context = stream_context_create(['http' => ['timeout' => self::TIMEOUT, 'ignore_errors' => true]]);
        $answer = @file_get_contents($this->url($channel), false, $context);
        $document = json_decode((string) $answer, true);
        if (!is_array($document) || !array_key_exists('occupied', $document)) {
            return null;
        }

        return isset($document['cache']);
    }

    private function url(string $channel): string
    {
        $connection = $this->connection;
        $path = "{$connection->path()}/apps/{$connection->appId()}/channels/{$channel}";
        $query = http_build_query([
            'auth_key' => $connection->key(),
            'auth_timestamp' => time(),
            'auth_version' => '1.0',
            'info' => 'cache',
        ]);
        $signature = hash_hmac('sha256', "GET\n{$path}\n".urldecode($query), $connection->secret());

        return "{$connection->origin()}{$path}?{$query}&auth_signature={$signature}";
    }
}
