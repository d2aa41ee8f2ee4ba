<?php

namespace Pusher;

use GuzzleHttp\Client;
use GuzzleHttp\ClientInterface;
use GuzzleHttp\Exception\ConnectException;

/**
 * Stand-in for pusher-php-server 7.2, which no Debian package has: what Laravel's broadcaster calls of it.
 *
 * It sends what the library sends, over Guzzle as the library does, and its signatures are the library's:
 * test_pusher_stand_in.py compares both with tests/golden_vectors.json.
 */
class Pusher
{
    private readonly ClientInterface $client;

    /**
     * @param  array<string, mixed>  $options  "host", "port", "scheme", "path" and "timeout" of config/broadcasting.php
     */
    public function __construct(
        private readonly string $key,
        private readonly string $secret,
        private readonly string $appId,
        private readonly array $options,
        ?ClientInterface $client = null,
    ) {
        $this->client = $client ?? new Client;
    }

    /**
     * Publish an event; `$parameters` are more fields of the body, such as "socket_id".
     *
     * @param  array<string>  $channels
     * @param  array<string, mixed>  $parameters
     *
     * @throws ApiErrorException
     */
    public function trigger(array $channels, string $event, mixed $data, array $parameters = []): void
    {
        $where = count($channels) === 1 ? ['channel' => reset($channels)] : ['channels' => array_values($channels)];
        $body = json_encode(['name' => $event, 'data' => json_encode($data)] + $where + $parameters);
        $path = "/apps/{$this->appId}/events";

        try {
            $response = $this->client->request('POST', $this->url($path), [
                'query' => $this->signedQuery('POST', $path, $body),
                'body' => $body,
                'headers' => [
                    'Content-Type' => 'application/json',
                    'X-Pusher-Library' => 'pusher-http-php 7.2.6',
                ],
                'http_errors' => false,
                'timeout' => $this->options['timeout'] ?? 30,
            ]);
        } catch (ConnectException $error) {
            throw new ApiErrorException($error->getMessage());
        }
        if ($response->getStatusCode() !== 200) {
            throw new ApiErrorException((string) $response->getBody(), $response->getStatusCode());
        }
    }

    /**
     * The answer for a private channel, as JSON.
     */
    public function socket_auth(string $channel, string $socketId): string
    {
        return $this->authorization("{$socketId}:{$channel}", []);
    }

    /**
     * The answer for a presence channel, as JSON. Nothing is known of a user without `$info`.
     */
    public function presence_auth(string $channel, string $socketId, string $userId, mixed $info = null): string
    {
        $member = json_encode(['user_id' => $userId] + ($info ? ['user_info' => $info] : []));

        return $this->authorization("{$socketId}:{$channel}:{$member}", ['channel_data' => $member]);
    }

    /**
     * @param  array<string, string>  $more
     */
    private function authorization(string $text, array $more): string
    {
        return json_encode(['auth' => "{$this->key}:{$this->signature($text)}"] + $more);
    }

    /**
     * @return array<string, string>
     */
    private function signedQuery(string $method, string $path, string $body): array
    {
        $query = [
            'auth_key' => $this->key,
            'auth_timestamp' => (string) time(),
            'auth_version' => '1.0',
            'body_md5' => md5($body),
        ];
        $text = implode("\n", [$method, $path, http_build_query($query)]);

        return $query + ['auth_signature' => $this->signature($text)];
    }

    private function signature(string $text): string
    {
        return hash_hmac('sha256', $text, $this->secret);
    }

    /**
     * Below the option "path" if that ends in a slash: without it the library's base URL loses the path (RFC 3986 §5.2.3).
     */
    private function url(string $path): string
    {
        $below = $this->options['path'] ?? '';
        $origin = "{$this->options['scheme']}://{$this->options['host']}:{$this->options['port']}";

        return $origin.(str_ends_with($below, '/') ? rtrim($below, '/') : '').$path;
    }
}
